// What a repair record makes of rows, over a real PostgreSQL.

#include "tests/integration/fold_fixture.hpp"

#include <pqxx/pqxx>

namespace cairn {
namespace {

/// Notes all sequences of a list that begins with them as damaged.
void note_damage(node_database& node, const record_list& list, std::size_t count) {
  for (const auto& [body, at] : std::span(list.all()).first(count)) {
    const auto& sequence = std::get<sequence_record>(body);
    ASSERT_TRUE(node.put_damaged(sequence.of.segment, {sequence.sequence, at.value_file, at.data_offset()}));
  }
}

TEST_F(FoldTest, RepairPointsTheSequencesElsewhereAndTheirDamageIsForgotten) {
  const auto of = make_identity(1, 1);
  const auto repeat = make_identity(2, 1);
  record_list list;
  list.add(make_sequence(of, 0)).add(make_sequence(of, 1)).add(make_final(of, 2, 20));
  list.add(make_sequence(repeat, 0)).add(make_sequence(repeat, 1)).add(make_final(repeat, 2, 20));
  apply(list);
  note_damage(*node_, list, 2);
  const auto before = look_up(of.key());
  EXPECT_TRUE(before->is_damaged);
  list.add(make_repair(of, {list.all()[3].at, list.all()[4].at}));
  EXPECT_EQ(apply(std::span(list.all()).last(1)).records.front().what, kind::applied);
  auto expected = *before;
  expected.is_damaged = false;
  for (std::size_t i = 0; i < 2; ++i)
    expected.sequences[i].data_offset_bytes = list.all()[3 + i].at.data_offset();
  EXPECT_EQ(look_up(of.key()), expected) << "all else is as it was";
}

TEST_F(FoldTest, RepairOfWhatIsOverChangesNothing) {
  const auto cancelled = make_identity(1, 1);
  const auto other = make_identity(2, 2);
  const auto tombstone = make_identity(3, 3);
  record_list list;
  list.add_entire(cancelled).add(make_cancel(cancelled.key())).add_entire(other);
  list.add(tombstone_record{tombstone, {}});
  const placement at{{}, value_file_id{9}, 4096, 128, 10, 0};
  list.add(make_repair(cancelled, {at}));
  list.add(make_repair(make_identity(2, 4), {at})); // its number is another segment's
  list.add(make_repair(tombstone, {at}));
  const auto outcomes = apply(list).records;
  ASSERT_EQ(outcomes.size(), 9U);
  for (std::size_t i = 6; i < outcomes.size(); ++i)
    EXPECT_EQ(outcomes[i].what, kind::lost) << i;
  EXPECT_EQ(outcomes[6].existing->status, segment_status::cancelled);
  EXPECT_FALSE(outcomes[7].existing);
  EXPECT_EQ(outcomes[8].existing->status, segment_status::tombstone);
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_sequence WHERE value_file_id = 9"), "0");
}

/// The log as a rebuild finds it where the segment's own records are lost: what lost or was forgotten while
/// the segment was whole comes first now.
class FoldWithoutFirstRecordsTest : public FoldTest {
protected:
  /// @param list what the log has of the key before the repair
  void expect_repaired(record_list list) {
    const auto places = std::vector{placement{{}, value_file_id{8}, 4096, 128, 10, 0},
                                    placement{{}, value_file_id{9}, 8192, 128, 10, 0}};
    list.add(make_repair(lost_, places, {{"a", "b"}}));
    apply(std::span(list.all()).first(list.all().size() - 1));
    EXPECT_EQ(apply(std::span(list.all()).last(1)).records.front().what, kind::applied);
    const auto row = look_up(lost_.key());
    ASSERT_TRUE(row);
    EXPECT_EQ(row->id, lost_.id);
    EXPECT_EQ(row->status, segment_status::final);
    EXPECT_EQ(row->segment, lost_.segment);
    EXPECT_EQ(row->nodes, lost_.nodes);
    EXPECT_EQ(row->file, make_final(lost_, 0, 0).file);
    EXPECT_EQ(row->meta, (metadata{{"a", "b"}}));
    ASSERT_EQ(row->sequences.size(), 2U);
    for (std::int32_t number = 0; number < 2; ++number) {
      const auto& sequence = row->sequences[static_cast<std::size_t>(number)];
      EXPECT_EQ(sequence.info, make_sequence(lost_, number).sequence);
      EXPECT_EQ(sequence.value_file.value, 8 + number);
      EXPECT_EQ(sequence.data_offset_bytes, places[static_cast<std::size_t>(number)].data_offset());
    }
    EXPECT_FALSE(row->is_damaged);
    EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment WHERE unified_id = 1"), "1");
    EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_sequence"), "2") << "none is left over";
    EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.meta"), "1");
    EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_fence"), "0");
    EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.damaged_segment"), "0");
  }

  const segment_identity lost_ = make_identity(1, 1);
  const segment_identity other_ = make_identity(2, 1);
};

TEST_F(FoldWithoutFirstRecordsTest, NothingHoldsTheKey) { expect_repaired(record_list{}); }

TEST_F(FoldWithoutFirstRecordsTest, OnlyItsFinalIsLost) {
  record_list list;
  list.add(make_sequence(lost_, 0)).add(make_sequence(lost_, 1));
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, UploadThatWasGivenUpHoldsTheKey) {
  record_list list;
  list.add(make_sequence(other_, 0));
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, UploadThatWasCancelledHoldsTheKey) {
  record_list list;
  list.add(make_sequence(other_, 0)).add(make_cancel(other_.key(), cancel_reason::idle, other_.id));
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, CancelOfAnAttemptFencesTheKey) {
  record_list list;
  list.add(make_cancel(other_.key(), cancel_reason::idle, other_.id));
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, RefusedArchiveOfOtherContentHoldsTheKey) {
  record_list list;
  list.add(make_sequence(other_, 0, 77)).add(make_final(other_, 1, 77, {{"other", "content"}}));
  apply(list);
  note_damage(*node_, list, 1);
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, RepeatHoldsTheKey) {
  record_list list;
  list.add(make_sequence(other_, 0)).add(make_sequence(other_, 1)).add(make_final(other_, 2, 20));
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, RefusedTombstoneHoldsTheKey) {
  record_list list;
  list.add(tombstone_record{other_, {}});
  expect_repaired(list);
}

TEST_F(FoldWithoutFirstRecordsTest, RepairedOnceBefore) {
  record_list list;
  list.add(make_repair(
    lost_,
    {placement{{}, value_file_id{7}, 4096, 128, 10, 0}, placement{{}, value_file_id{7}, 8192, 128, 10, 0}},
    {{"a", "b"}}));
  expect_repaired(list);
}

TEST_F(FoldTest, DamageOfWhatIsBeingRepairedIsNotNotedAndWaitsForNothing) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  apply(list);
  pqxx::connection other(database_.connection_string());
  pqxx::work repair(other);
  repair.exec0("UPDATE cairn.segment_sequence SET value_file_offset = value_file_offset");
  note_damage(*node_, list, 1);
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.damaged_segment"), "0");
  repair.abort();
  note_damage(*node_, list, 1);
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.damaged_segment"), "1");
}

TEST_F(FoldTest, DamageThatIsKnownIsNotNotedAgain) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  apply(list);
  note_damage(*node_, list, 1);
  const auto traces = [&] { // who wrote the note, and who last locked the sequence
    return database_.query(
      "SELECT d.xmin || ' ' || q.xmax FROM cairn.damaged_segment d, cairn.segment_sequence q");
  };
  const auto before = traces();
  note_damage(*node_, list, 1);
  EXPECT_EQ(traces(), before);
}

TEST_F(FoldTest, AttemptThatIsForgottenLeavesNoDamageToTheNext) {
  const auto failed = make_identity(1, 1);
  record_list list;
  list.add(make_sequence(failed, 0));
  apply(list);
  note_damage(*node_, list, 1);
  list.add(make_cancel(failed.key(), cancel_reason::storage_fault, failed.id));
  list.add_entire(make_identity(2, 1));
  apply(std::span(list.all()).subspan(1));
  EXPECT_EQ(look_up(failed.key())->id, segment_id{2});
  EXPECT_FALSE(look_up(failed.key())->is_damaged);
}

TEST_F(FoldTest, PurgeEndsWhatIsKnownOfDamage) {
  auto copy = make_identity(1, 1);
  copy.nodes.handoff = node_id{5};
  record_list list;
  list.add_entire(copy);
  apply(list);
  note_damage(*node_, list, 1);
  EXPECT_TRUE(look_up(copy.key())->is_damaged);
  list.add(purge_record{copy.id, copy.key(), timestamp_us{1}});
  auto again = copy;
  again.id.value = 9;
  list.add_entire(again);
  apply(std::span(list.all()).subspan(2));
  EXPECT_EQ(look_up(copy.key())->id, again.id);
  EXPECT_FALSE(look_up(copy.key())->is_damaged);
}

} // namespace
} // namespace cairn
