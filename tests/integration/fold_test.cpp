// The fold over a real PostgreSQL: what records make of rows, however they are cut into rounds.

#include "tests/integration/fold_fixture.hpp"
#include "tests/support/model_database.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace cairn {
namespace {

std::vector<std::size_t> random_cuts(std::mt19937_64& random, std::size_t count) {
  std::vector<std::size_t> ends;
  for (std::size_t end = 0; end < count; ends.push_back(end))
    end = std::min(count, end + 1 + std::uniform_int_distribution<std::size_t>(0, 12)(random));
  return ends;
}

TEST_F(FoldTest, RowsDependOnTheRecordsAndNotOnTheCuts) {
  const auto seed = test_seed();
  for (std::uint64_t run = 0; run < 6 && !HasFailure(); ++run) {
    SCOPED_TRACE(fmt::format("run {}", run));
    std::mt19937_64 random(seed + run);
    const auto list = random_records(random, 150);
    const std::span records = list.all();
    std::set<segment_key> keys;
    for (const auto& record : records)
      if (const auto* sequence = std::get_if<sequence_record>(&record.body))
        keys.insert(sequence->of.key());
    const std::vector<segment_key> look_ups(keys.begin(), keys.end());

    model_database model;
    const auto expected = model.fold(records);
    std::optional<std::string> rows;
    for (const int way : {0, 1, 2, 3}) {
      SCOPED_TRACE(fmt::format("way {}", way));
      const test_database own;
      database_ = own;
      node_ = database_.open();
      std::vector<std::size_t> ends;
      if (way == 0)
        for (std::size_t end = 1; end <= records.size(); ++end)
          ends.push_back(end);
      else if (way == 1)
        ends = {records.size()};
      else
        ends = random_cuts(random, records.size());
      std::vector<fold_outcome> outcomes;
      std::size_t begin = 0;
      for (const auto end : ends) {
        auto round = apply(records.subspan(begin, end - begin));
        std::move(round.records.begin(), round.records.end(), std::back_inserter(outcomes));
        begin = end;
      }
      ASSERT_EQ(outcomes.size(), expected.size());
      for (std::size_t i = 0; i < outcomes.size(); ++i) {
        // Nobody acts on the outcome of a sequence that follows the first one.
        if (std::holds_alternative<sequence_record>(records[i].body))
          continue;
        EXPECT_EQ(outcomes[i].what, expected[i].what)
          << i << " " << type_name(records[i].body) << outcomes[i].reason;
        // What holds the key may tell of records that follow in the same round; if anything held it before,
        // it is the same row.
        if (expected[i].existing) {
          ASSERT_TRUE(outcomes[i].existing.has_value()) << i;
          EXPECT_EQ(outcomes[i].existing->id, expected[i].existing->id) << i;
        }
      }
      const auto found = apply({}, look_ups).look_ups;
      for (std::size_t i = 0; i < look_ups.size(); ++i)
        EXPECT_EQ(found[i], model.load(look_ups[i])) << i;
      const auto text = database_.dump();
      EXPECT_EQ(text, rows.value_or(text));
      rows = text;
    }
  }
}

/// CAIRN_SEED=380148827 of the test above found it: the round's one statement gave it to the segment.
TEST_F(FoldTest, SequenceLoggedBeforeItsSegmentBeginsIsNoneOfIt) {
  const auto of = make_identity(1, 1);
  record_list list;
  list.add(make_sequence(of, 3)).add(make_sequence(of, 0));
  apply(list);
  EXPECT_EQ(database_.query("SELECT string_agg(sequence_num::text, ',') FROM cairn.segment_sequence"), "0");
}

TEST_F(FoldTest, RoundAppliedAgainTellsTheSame) { // after a COMMIT whose outcome was not known
  record_list list;
  const auto other = make_identity(2, 2);
  list.add_entire(make_identity(1, 1)).add_entire(make_identity(3, 1)).add(make_sequence(other, 0));
  list.add(tombstone_record{make_identity(4, 9), {}}).add(make_cancel(other.key()));
  list.add(make_conjoined(5, 1, conjoined_action::start));
  const auto repaired = make_identity(6, 6);
  list.add_entire(repaired).add(make_sequence(make_identity(7, 6), 0));
  list.add(make_repair(repaired, {list.all().back().at}));
  const auto first = kinds(list);
  set_back();
  EXPECT_EQ(kinds(list)[1], kind::applied);
  set_back();
  const auto again = kinds(list);
  for (std::size_t i = 0; i < first.size(); ++i)
    EXPECT_TRUE(again[i] == first[i] || std::holds_alternative<sequence_record>(list.all()[i].body)) << i;
}

TEST_F(FoldTest, EntireIsStoredWithAllItsFields) {
  auto of = make_identity(1, 1);
  of.segment.conjoined_part = 3;
  of.segment.segment_num = 255;
  of.nodes = {node_id{2}, node_id{3}};
  record_list list;
  list.add(make_sequence(of, 0, 10))
    .add(make_sequence(of, 1, 20))
    .add(make_final(of, 2, 30, {{"a", "b"}, {"c", ""}}));
  EXPECT_EQ(kinds(list), std::vector(3, kind::applied));
  const auto row = look_up(of.key());
  ASSERT_TRUE(row);
  EXPECT_EQ(row->id, of.id);
  EXPECT_EQ(row->status, segment_status::final);
  EXPECT_EQ(row->segment, of.segment);
  EXPECT_EQ(row->nodes, of.nodes);
  EXPECT_EQ(row->file, std::get<final_record>(list.all()[2].body).file);
  EXPECT_EQ(row->meta, (metadata{{"a", "b"}, {"c", ""}}));
  ASSERT_EQ(row->sequences.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(row->sequences[i].info, std::get<sequence_record>(list.all()[i].body).sequence);
    EXPECT_EQ(row->sequences[i].value_file, list.all()[i].at.value_file);
    EXPECT_EQ(row->sequences[i].data_offset_bytes, list.all()[i].at.data_offset());
  }
  EXPECT_FALSE(look_up(make_identity(1, 2).key()));
}

TEST_F(FoldTest, KeysOfAnyKindComeBackByteForByte) {
  const std::vector<std::string> keys{"\"quoted\"",
                                      "back\\slash\\",
                                      "{braces}",
                                      "a,b,,c",
                                      "NULL",
                                      "null",
                                      " spaces  ",
                                      "it's; DROP TABLE x--",
                                      "tab\tnew\nline\r",
                                      "\x01\x7f",
                                      "ключ/鍵/🗝",
                                      "\xf4\x8f\xbf\xbf",
                                      "%s {0} $1",
                                      std::string(1024, 'k'),
                                      std::string(1020, 'k') + "🗝",
                                      "\\x00",
                                      "'",
                                      "{\"\\,}"};
  record_list list;
  std::int64_t id = 0;
  for (const auto& key : keys) {
    ++id;
    auto of = make_identity(id, static_cast<std::uint64_t>(id), key);
    list.add_entire(of, {{key, key.substr(0, 1000)}});
    of = make_identity(1000 + id, 1000 + static_cast<std::uint64_t>(id), key);
    list.add(tombstone_record{of, {}});
    auto step = make_conjoined(2000 + id, static_cast<std::uint64_t>(id), conjoined_action::start);
    step.key = key;
    list.add(step);
  }
  for (const auto what : kinds(list))
    EXPECT_EQ(what, kind::applied);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto version = static_cast<std::uint64_t>(i) + 1;
    EXPECT_EQ(look_up(make_identity(0, version).key())->segment.key, keys[i]);
    EXPECT_EQ(look_up(make_identity(0, version).key())->meta.begin()->first, keys[i]);
    EXPECT_EQ(look_up(make_identity(0, 1000 + version).key())->segment.key, keys[i]);
  }
  EXPECT_EQ(database_.query("SELECT count(DISTINCT key COLLATE \"C\") FROM cairn.conjoined"),
            std::to_string(keys.size()));
}

TEST_F(FoldTest, NumbersAtTheirBoundsAreStored) {
  auto of = make_identity(std::numeric_limits<std::int64_t>::max(), (1ULL << 63U) - 1);
  of.segment.collection.value = std::numeric_limits<std::int32_t>::max();
  of.segment.conjoined_part = std::numeric_limits<std::int32_t>::max();
  auto sequence = make_sequence(of, 0, 16U << 20U);
  sequence.sequence.adler32 = 0xffffffff;
  sequence.sequence.padding_bytes = 16U << 20U;
  auto final = make_final(of, 1, 16U << 20U);
  final.file.adler32 = 0xffffffff;
  final.file.size_bytes = std::numeric_limits<std::int64_t>::max();
  record_list list;
  list.add(sequence).add(final);
  EXPECT_EQ(kinds(list), std::vector(2, kind::applied));
  const auto row = look_up(of.key());
  ASSERT_TRUE(row);
  EXPECT_EQ(row->segment, of.segment);
  EXPECT_EQ(row->sequences[0].info, sequence.sequence);
  EXPECT_EQ(row->file, final.file);
}

TEST_F(FoldTest, EmptySequencesAndZeroByteObjectsAreStored) {
  const auto of = make_identity(1, 1);
  auto final = make_final(of, 1, 0);
  final.file.size_bytes = 0;
  record_list list;
  list.add(make_sequence(of, 0, 0)).add(final);
  EXPECT_EQ(kinds(list), std::vector(2, kind::applied));
  EXPECT_EQ(look_up(of.key())->file.size_bytes, 0);
}

TEST_F(FoldTest, TimestampsAreExactToTheMicrosecond) {
  const std::vector<std::int64_t> times{
    0,
    1,
    999'999,
    1'000'000,
    -1,
    -3'600'000'001,
    1'700'000'000'000'000,
    1'700'000'000'123'456,
    4'102'444'799'999'999,     // 2099
    9'007'199'254'740'993,     // past what a double holds, in 2255
    32'503'680'000'000'001,    // 3000
    253'402'300'799'999'999,   // 9999
    9'000'000'000'000'000'001, // 287169
    -62'135'596'800'000'001,   // before the year 1
  };
  record_list list;
  for (std::size_t i = 0; i < times.size(); ++i) {
    auto of = make_identity(static_cast<std::int64_t>(i) + 1, i + 1);
    of.segment.timestamp = timestamp_us{times[i]};
    list.add_entire(of, {{"a", "b"}});
    list.add(make_conjoined(1000 + static_cast<std::int64_t>(i), i + 1, conjoined_action::abort, times[i]));
  }
  for (const auto what : kinds(list))
    EXPECT_EQ(what, kind::applied);
  for (std::size_t i = 0; i < times.size(); ++i)
    EXPECT_EQ(look_up(make_identity(0, i + 1).key())->segment.timestamp.value, times[i]);
  EXPECT_EQ(database_.query(
              "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') FROM cairn.segment"
              " WHERE unified_id = 8"),
            "2023-11-14 22:13:20.123456");
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment s JOIN cairn.conjoined c USING (unified_id)"
                            " JOIN cairn.meta m ON m.segment_id = s.id"
                            " WHERE c.abort_timestamp = s.timestamp AND m.timestamp = s.timestamp"),
            std::to_string(times.size()));
}

TEST_F(FoldTest, TakenKeyTellsWhatHoldsIt) {
  record_list list;
  list.add_entire(make_identity(1, 1), {{"a", "b"}});
  apply(list);
  record_list later(10);
  later.add_entire(make_identity(2, 1)).add(tombstone_record{make_identity(3, 1), {}});
  const auto outcome = apply(later).records;
  for (const std::size_t i : {1U, 2U}) {
    EXPECT_EQ(outcome[i].what, kind::lost);
    ASSERT_TRUE(outcome[i].existing);
    EXPECT_EQ(outcome[i].existing->id, segment_id{1});
    EXPECT_EQ(outcome[i].existing->meta, (metadata{{"a", "b"}}));
    EXPECT_EQ(outcome[i].existing->sequences.size(), 1U);
  }
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment"), "1");
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_sequence"), "1");
}

TEST_F(FoldTest, OfTwoInOneRoundTheEarlierTakesTheKey) {
  record_list list;
  list.add(make_sequence(make_identity(2, 1), 0))
    .add_entire(make_identity(1, 1))
    .add(make_final(make_identity(2, 1), 1, 10));
  EXPECT_EQ(kinds(list), (std::vector{kind::applied, kind::lost, kind::lost, kind::applied}));
  EXPECT_EQ(look_up(make_identity(0, 1).key())->id, segment_id{2});
}

TEST_F(FoldTest, CancelledKeyTakesNothing) {
  record_list list;
  const auto key = make_identity(1, 1).key();
  list.add_entire(make_identity(1, 1)).add(make_cancel(key)).add_entire(make_identity(2, 1));
  const auto outcome = apply(list).records;
  EXPECT_EQ(outcome[1].what, kind::applied);
  EXPECT_EQ(outcome[4].what, kind::lost);
  EXPECT_EQ(outcome[4].existing->status, segment_status::cancelled);
  EXPECT_EQ(outcome[4].existing->id, segment_id{1});
  EXPECT_EQ(look_up(key)->status, segment_status::cancelled);
}

TEST_F(FoldTest, CancelOfAnUnknownKeyFencesIt) {
  const auto of = make_identity(1, 1);
  auto copy = make_identity(2, 1);
  copy.nodes.handoff = node_id{3};
  record_list list;
  list.add(make_cancel(of.key())).add(make_cancel(of.key())).add_entire(of).add_entire(copy);
  const auto outcome = apply(list).records;
  EXPECT_EQ(outcome[3].what, kind::lost);
  EXPECT_EQ(outcome[3].existing->status, segment_status::cancelled);
  EXPECT_EQ(outcome[5].what, kind::applied) << "a fence is for its handoff node alone";
  EXPECT_EQ(look_up(of.key())->id, segment_id{});
}

TEST_F(FoldTest, CancelOfATombstonesKeyStillHoldsWhenTheTombstoneIsPurged) {
  auto copy = make_identity(1, 1);
  copy.nodes.handoff = node_id{3};
  auto late = copy;
  late.id = segment_id{2};
  record_list list;
  list.add(tombstone_record{copy, {}}).add(make_cancel(copy.key()));
  apply(list);
  EXPECT_EQ(look_up(copy.key())->status, segment_status::tombstone) << "the delete stays";
  record_list after(list.all().back().at.lsn.value + 1);
  after.add(purge_record{{}, copy.key(), timestamp_us{1}}).add_entire(late);
  EXPECT_EQ(apply(after).records.back().what, kind::lost);
  EXPECT_EQ(look_up(copy.key())->status, segment_status::cancelled);
}

TEST_F(FoldTest, CancelOfOneAttemptLeavesOthersAlone) {
  record_list list;
  const auto holder = make_identity(1, 1);
  list.add_entire(holder).add(make_sequence(make_identity(2, 1), 0));
  for (const auto reason : {cancel_reason::idle, cancel_reason::restart, cancel_reason::gateway_start})
    list.add(make_cancel(holder.key(), reason, segment_id{2}));
  apply(list);
  EXPECT_EQ(look_up(holder.key())->status, segment_status::final);
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_fence"), "0");
}

TEST_F(FoldTest, StorageFaultForgetsTheAttempt) {
  record_list list;
  const auto of = make_identity(1, 1);
  list.add(make_sequence(of, 0)).add(make_cancel(of.key(), cancel_reason::storage_fault, of.id));
  list.add_entire(make_identity(2, 1));
  list.add(make_cancel(of.key(), cancel_reason::storage_fault, segment_id{2})); // a final is not forgotten
  const auto outcome = apply(list).records;
  EXPECT_EQ(outcome[3].what, kind::applied);
  EXPECT_EQ(look_up(of.key())->id, segment_id{2});
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_sequence"), "1");
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_fence"), "0");
}

TEST_F(FoldTest, FinalWithoutAllItsSequencesIsNotApplied) {
  const auto of = make_identity(1, 1);
  record_list list;
  list.add(make_sequence(of, 0, 10)).add(make_sequence(of, 2, 10));
  list.add(make_final(of, 3, 30)).add(make_final(of, 2, 21)).add(make_final(of, 1, 20));
  const auto outcome = apply(list).records;
  for (const std::size_t i : {2U, 3U, 4U}) {
    EXPECT_EQ(outcome[i].what, kind::lost);
    EXPECT_EQ(outcome[i].existing->status, segment_status::active);
  }
  EXPECT_EQ(look_up(of.key())->status, segment_status::active);
  record_list rest(10);
  rest.add(make_sequence(of, 1, 10)).add(make_final(of, 3, 30));
  EXPECT_EQ(kinds(rest)[1], kind::applied);
  record_list alone(20);
  alone.add(make_final(make_identity(5, 5), 1, 10));
  EXPECT_EQ(kinds(alone), std::vector{kind::lost});
}

TEST_F(FoldTest, SequencePastTheFinalIsNotApplied) {
  const auto of = make_identity(1, 1);
  record_list list;
  list.add_entire(of).add(make_sequence(of, 1));
  apply(list);
  EXPECT_EQ(look_up(of.key())->sequences.size(), 1U);
}

TEST_F(FoldTest, TombstoneNamesWhatItDeletes) {
  record_list list;
  list.add(tombstone_record{make_identity(1, 8), unified_id{5}})
    .add(tombstone_record{make_identity(2, 9), {}});
  EXPECT_EQ(kinds(list), std::vector(2, kind::applied));
  const auto one = look_up(make_identity(0, 8).key());
  EXPECT_EQ(one->status, segment_status::tombstone);
  EXPECT_EQ(one->deletes, unified_id{5});
  EXPECT_EQ(look_up(make_identity(0, 9).key())->deletes, unified_id{});
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment WHERE file_size = 0 AND status = 'T'"), "2");
  record_list later(10);
  later.add(make_cancel(make_identity(0, 8).key())).add(tombstone_record{make_identity(3, 8), {}});
  const auto outcome = apply(later).records;
  EXPECT_EQ(outcome[1].what, kind::lost);
  EXPECT_EQ(outcome[1].existing->id, segment_id{1}) << "a cancel does not undo a delete";
}

TEST_F(FoldTest, ConjoinedStepsGiveTheSameRowInAnyOrder) {
  std::vector actions{conjoined_action::start, conjoined_action::abort, conjoined_action::finish};
  std::uint64_t version = 0;
  do {
    ++version;
    record_list list(version * 10);
    for (const auto action : actions) {
      const auto time = static_cast<std::int64_t>(action) * 1000;
      list.add(make_conjoined(static_cast<std::int64_t>(list.last_lsn().value) + 1, version, action, time));
      list.add(make_conjoined(static_cast<std::int64_t>(list.last_lsn().value) + 1, version, action, time));
    }
    for (const auto what : kinds(list))
      EXPECT_EQ(what, kind::applied);
  } while (std::next_permutation(actions.begin(), actions.end()));
  EXPECT_EQ(version, 6U);
  // Abort wins over complete: both are kept, and who reads looks at the abort first.
  EXPECT_EQ(
    database_.query("SELECT count(*) FROM cairn.conjoined WHERE create_timestamp = timestamptz 'epoch'"
                    " + interval '1 ms' AND abort_timestamp = timestamptz 'epoch' + interval '2 ms'"
                    " AND complete_timestamp = timestamptz 'epoch' + interval '3 ms'"),
    "6");
}

TEST_F(FoldTest, AbortWithoutHandoffIsApplied) { // in the predecessor a syntax error
  record_list list;
  list.add(make_conjoined(1, 1, conjoined_action::abort));
  auto held = make_conjoined(2, 1, conjoined_action::abort);
  held.handoff = node_id{3};
  list.add(held);
  EXPECT_EQ(kinds(list), std::vector(2, kind::applied));
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.conjoined WHERE abort_timestamp IS NOT NULL"), "2");
}

TEST_F(FoldTest, ConjoinedOfAnotherKeyIsLost) {
  record_list list;
  auto other = make_conjoined(2, 1, conjoined_action::abort);
  other.key = "other";
  list.add(make_conjoined(1, 1, conjoined_action::start)).add(other);
  EXPECT_EQ(kinds(list), (std::vector{kind::applied, kind::lost}));
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.conjoined WHERE abort_timestamp IS NULL"), "1");
}

TEST_F(FoldTest, PurgeRemovesAHandoffCopyAndNothingElse) {
  const auto own = make_identity(1, 1);
  auto copy = make_identity(2, 1);
  copy.nodes.handoff = node_id{3};
  auto other = make_identity(3, 1);
  other.nodes.handoff = node_id{4};
  auto writing = make_identity(4, 2);
  writing.nodes.handoff = node_id{3};
  record_list list;
  list.add_entire(own, {{"a", "b"}}).add_entire(copy, {{"a", "b"}}).add_entire(other);
  list.add(make_sequence(writing, 0));
  for (const auto& key : {own.key(), copy.key(), writing.key()})
    list.add(purge_record{{}, key, timestamp_us{1}});
  for (const auto what : kinds(list))
    EXPECT_EQ(what, kind::applied);
  EXPECT_TRUE(look_up(own.key()));
  EXPECT_FALSE(look_up(copy.key()));
  EXPECT_TRUE(look_up(other.key()));
  EXPECT_TRUE(look_up(writing.key())) << "active: its messages still come";
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment_sequence"), "3");
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.meta"), "1");
}

TEST_F(FoldTest, PurgeLeavesACancelledCopyCancelled) {
  auto copy = make_identity(1, 1);
  copy.nodes.handoff = node_id{3};
  auto late = make_identity(2, 1);
  late.nodes.handoff = node_id{3};
  record_list list;
  list.add_entire(copy).add(cancel_record{{}, copy.key(), timestamp_us{1}, cancel_reason::client});
  list.add(purge_record{{}, copy.key(), timestamp_us{2}}).add_entire(late);
  const auto outcomes = kinds(list);
  EXPECT_EQ(outcomes.back(), kind::lost);
  EXPECT_EQ(look_up(copy.key())->status, segment_status::cancelled);
}

TEST_F(FoldTest, CancelOfAnAttemptThatNeverHadItsRowTellsWhatHoldsTheKey) {
  const auto stored = make_identity(1, 1);
  const auto repeat = make_identity(2, 1);
  record_list list;
  list.add_entire(stored).add(make_sequence(repeat, 0));
  list.add(cancel_record{repeat.id, repeat.key(), timestamp_us{1}, cancel_reason::gateway_start});
  EXPECT_EQ(kinds(list).back(), kind::lost);
  EXPECT_EQ(look_up(stored.key())->status, segment_status::final);
}

TEST_F(FoldTest, NodesCollectionsAndSpacesAreInsertedAndChanged) {
  record_list list;
  list.add(node_record{node_id{1}, "north", "10.0.0.1", 4242})
    .add(node_record{node_id{1}, "north", "10.0.0.2", 4243});
  list.add(collection_record{collection_id{7}, true}).add(collection_record{collection_id{7}, false});
  list.add(file_space_record{space_id{1}, space_purpose::journal, "/a", "v1", timestamp_us{5}});
  list.add(file_space_record{space_id{1}, space_purpose::storage, "/b", "v2", timestamp_us{6}});
  EXPECT_EQ(kinds(list), std::vector(6, kind::applied));
  const auto state = node_->load_state().value();
  ASSERT_EQ(state.nodes.size(), 1U);
  EXPECT_EQ(state.nodes[0].host, "10.0.0.2");
  EXPECT_EQ(state.nodes[0].port, 4243);
  ASSERT_EQ(state.file_spaces.size(), 1U);
  EXPECT_EQ(state.file_spaces[0].path, "/b");
  EXPECT_EQ(state.file_spaces[0].purpose, space_purpose::storage);
  EXPECT_EQ(state.file_spaces[0].creation_time, timestamp_us{5});
  EXPECT_EQ(database_.query("SELECT versioned FROM cairn.collection"), "f");
}

TEST_F(FoldTest, NodeNumberKeepsItsFirstNameHoweverOftenItIsApplied) {
  record_list list;
  list.add(node_record{node_id{5}, "first", "10.0.0.1", 1})
    .add(node_record{node_id{5}, "second", "10.0.0.2", 2})
    .add(node_record{node_id{5}, "first", "10.0.0.3", 3});
  for (int time = 0; time < 2; ++time) {
    const auto outcomes = apply(list).records;
    ASSERT_EQ(outcomes.size(), 3U);
    EXPECT_EQ(outcomes[0].what, kind::applied);
    EXPECT_EQ(outcomes[1].what, kind::lost);
    EXPECT_FALSE(outcomes[1].reason.empty());
    EXPECT_EQ(outcomes[2].what, kind::applied);
    EXPECT_EQ(database_.query("SELECT name || ' ' || host || ' ' || port FROM cairn.node"),
              "first 10.0.0.3 3");
    set_back();
  }
}

TEST_F(FoldTest, NodeNameOfAnotherNumberIsRefused) {
  record_list list;
  list.add(node_record{node_id{5}, "taken", {}, 0}).add(node_record{node_id{6}, "taken", {}, 0});
  EXPECT_EQ(kinds(list), (std::vector{kind::applied, kind::refused}));
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.node"), "1");
}

TEST_F(FoldTest, RowsOfValueFilesAreInsertedAndClosed) {
  value_file_row row;
  row.id = value_file_id{4};
  row.space = space_id{1};
  row.creation_time = timestamp_us{1'700'000'000'000'001};
  apply({}, {}, {&row, 1});
  row.close_time = timestamp_us{1'700'000'000'000'002};
  row.size_bytes = 1ULL << 40U;
  row.hash.emplace().fill(0xcd);
  row.sequence_count = 3;
  row.min_segment = segment_id{10};
  row.max_segment = segment_id{20};
  row.collections = {collection_id{1}, collection_id{7}};
  apply({}, {}, {&row, 1});
  const auto state = node_->load_state().value();
  ASSERT_EQ(state.value_files.size(), 1U);
  EXPECT_EQ(state.value_files[0].close_time, row.close_time);
  EXPECT_EQ(state.value_files[0].size_bytes, row.size_bytes);
  EXPECT_EQ(database_.query("SELECT (hash, segment_sequence_count, min_segment_id, max_segment_id,"
                            " distinct_collection_count, collection_ids)::text FROM cairn.value_file"),
            R"(("\\xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",3,10,20,2,"{1,7}"))");
}

} // namespace
} // namespace cairn
