// The writing end of the node database over a real PostgreSQL: opening, the guarded position, refusals, lost
// connections.

#include "core/db/schema.hpp"
#include "tests/support/log_records.hpp"
#include "tests/support/test_database.hpp"

#include <thread>

#include <gtest/gtest.h>

namespace cairn {
namespace {

using kind = fold_outcome::kind;

class NodeDatabaseTest : public testing::Test {
protected:
  static node_database::round round_of(const record_list& list, log_sequence_number expected = {}) {
    node_database::round facts;
    facts.expected_position = expected;
    facts.new_position = list.last_lsn();
    facts.records = list.all();
    return facts;
  }
  [[nodiscard]] std::string count(const std::string& table) const {
    return database_.query("SELECT count(*) FROM cairn." + table);
  }

  /// A writer's session with a setting of the operator's.
  [[nodiscard]] std::unique_ptr<node_database> open_with(const std::string& setting) const {
    auto opened = node_database::open(database_.connection_string() + " options='-c " + setting + "'",
                                      test_database::identity());
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }

  test_database database_;
  std::unique_ptr<node_database> node_ = database_.open();
};

TEST_F(NodeDatabaseTest, OpensAgainAndMigratesOnce) {
  EXPECT_EQ(node_->position().value(), log_sequence_number{});
  node_ = database_.open();
  const auto second = database_.open();
  EXPECT_EQ(database_.query("SELECT count(*) = max(version) FROM cairn.schema_version"), "t");
}

TEST_F(NodeDatabaseTest, TwoNodesThatOpenOneEmptyDatabaseAtOnceBothFindItWhole) {
  const test_database empty;
  std::vector<std::thread> openers;
  for (int i = 0; i < 4; ++i)
    openers.emplace_back([&] { EXPECT_TRUE(empty.open()); });
  for (auto& opener : openers)
    opener.join();
}

TEST_F(NodeDatabaseTest, DamageThatSchemaVersion1KnewIsKept) {
  const test_database old;
  old.query("CREATE SCHEMA cairn; CREATE TABLE cairn.schema_version (version int4 PRIMARY KEY,"
            " applied_at timestamptz NOT NULL DEFAULT now());"
            " INSERT INTO cairn.schema_version VALUES (1)");
  old.query(schema_migrations().front());
  old.query("INSERT INTO cairn.segment (id, collection_id, key, status, unified_id, timestamp, segment_num,"
            " conjoined_part, handoff_node_id, file_size, file_adler32, file_hash)"
            " SELECT id, 7, key, 'F', 10 + id, now(), 1, 0, handoff, 0, 1, decode(repeat('00', 16), 'hex')"
            " FROM (VALUES (1, 'own', NULL), (2, 'copy', 5)) AS u (id, key, handoff)");
  old.query(
    "INSERT INTO cairn.segment SELECT 3, collection_id, key, status, unified_id, timestamp, segment_num,"
    " conjoined_part, file_size, file_adler32, file_hash, NULL, NULL, 6 FROM cairn.segment WHERE id = 1");
  old.query("INSERT INTO cairn.damaged_segment SELECT collection_id, key, 'D', unified_id, timestamp,"
            " segment_num, conjoined_part, '{0}' FROM cairn.segment WHERE id <> 3");
  old.query("INSERT INTO cairn.damaged_segment VALUES (7, 'purged', 'D', 99, now(), 1, 0, '{0}')");
  EXPECT_TRUE(old.open());
  EXPECT_EQ(old.query("SELECT string_agg(key || ' ' || handoff_node_id, ', ' ORDER BY key, handoff_node_id)"
                      " FROM cairn.damaged_segment"),
            "copy 5, own 0, own 6");
}

TEST_F(NodeDatabaseTest, NewerSchemaIsRefused) {
  database_.query("INSERT INTO cairn.schema_version (version) VALUES (1000)");
  const auto opened = node_database::open(database_.connection_string(), test_database::identity());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::conflict);
  EXPECT_NE(opened.error().message.find("1000"), std::string::npos) << opened.error().message;
}

TEST_F(NodeDatabaseTest, AnotherNodesDatabaseIsRefused) {
  for (const auto& other :
       {node_identity{"meadow", "north", node_id{1}}, node_identity{"orchard", "south", node_id{1}},
        node_identity{"orchard", "north", node_id{2}}}) {
    const auto opened = node_database::open(database_.connection_string(), other);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, errc::conflict);
    EXPECT_NE(opened.error().message.find("belongs to node north"), std::string::npos)
      << opened.error().message;
  }
}

TEST_F(NodeDatabaseTest, EmptyDatabaseIsRefusedOnDemand) {
  const test_database empty;
  const auto opened = node_database::open(empty.connection_string(), test_database::identity(),
                                          node_database::if_empty::refuse);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::conflict);
  EXPECT_EQ(empty.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'cairn'"), "0")
    << "nothing was made";
  EXPECT_TRUE(node_database::open(database_.connection_string(), test_database::identity(),
                                  node_database::if_empty::refuse));
}

TEST_F(NodeDatabaseTest, UnreachableDatabaseIsUnavailable) {
  for (const auto* where : {"host=/tmp/cairn-there-is-none dbname=x", "postgresql://127.0.0.1:1/x",
                            "postgresql://127.0.0.1:1/x?connect_timeout=2&application_name=mine"}) {
    const auto opened = node_database::open(where, test_database::identity());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, errc::database_unavailable) << opened.error().message;
    EXPECT_EQ(opened.error().message.find('\n'), std::string::npos) << opened.error().message;
  }
}

TEST_F(NodeDatabaseTest, RoundIsVisibleOnlyWhenCommitted) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  EXPECT_EQ(count("segment"), "0");
  node_->abandon_round();
  EXPECT_EQ(node_->position().value(), log_sequence_number{});
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(count("segment"), "1");
  EXPECT_EQ(node_->position().value(), list.last_lsn());
}

TEST_F(NodeDatabaseTest, UnexpectedPositionIsAConflict) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  const auto begun = node_->begin_round(round_of(list, log_sequence_number{5}));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, errc::conflict);
  EXPECT_EQ(count("segment"), "0");
  ASSERT_TRUE(node_->begin_round(round_of(list))) << "the connection is of use still";
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(node_->begin_round(round_of(list)).error().code, errc::conflict);
}

TEST_F(NodeDatabaseTest, WhateverARoundBeginsWithItsPositionIsGuarded) {
  record_list entire, rare, none;
  entire.add_entire(make_identity(1, 1));
  rare.add(tombstone_record{make_identity(2, 2), {}});
  const std::vector keys{make_identity(0, 1).key()};
  value_file_row file;
  file.id.value = 1;
  file.space.value = 1;
  for (const auto* list : {&entire, &rare, &none}) {
    for (const auto with_file : {false, true}) {
      auto facts = round_of(*list, log_sequence_number{5});
      if (with_file)
        facts.file_rows = {&file, 1};
      facts.look_ups = keys;
      const auto begun = node_->begin_round(facts);
      ASSERT_FALSE(begun);
      EXPECT_EQ(begun.error().code, errc::conflict) << begun.error().message;
    }
  }
  auto facts = round_of(none);
  facts.new_position = log_sequence_number{7'000'000'000};
  ASSERT_TRUE(node_->begin_round(facts));
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(node_->position().value(), facts.new_position) << "a round without records moves it, too";
  EXPECT_EQ(count("segment"), "0");
  EXPECT_EQ(count("value_file"), "0");
}

TEST_F(NodeDatabaseTest, ADatabaseWithoutItsPositionTakesNoRound) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  database_.query("DELETE FROM cairn.log_position");
  const auto begun = node_->begin_round(round_of(list));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, errc::conflict);
  EXPECT_EQ(count("segment"), "0");
}

TEST_F(NodeDatabaseTest, TextsComeBackWhicheverStatementIsARoundsFirst) {
  const std::vector<std::string> texts{
    R"(it's)", R"(back\slash\)", R"("quoted", {braces})", "$1, 'x'); --", "log_position_lsn_check",
    "NULL",    "null",           "zwölf Äpfel",           " blanks "};
  std::int64_t id = 0;
  log_sequence_number position;
  for (const auto& text : texts) {
    for (const auto is_tombstone : {false, true}) {
      ++id;
      record_list list(position.value + 1);
      const auto identity = make_identity(id, static_cast<std::uint64_t>(id), text);
      if (is_tombstone)
        list.add(tombstone_record{identity, {}});
      else
        list.add_entire(identity);
      ASSERT_TRUE(node_->begin_round(round_of(list, position))) << text;
      ASSERT_TRUE(node_->commit_round());
      position = list.last_lsn();
    }
  }
  EXPECT_EQ(count("rejected"), "0");
  for (std::size_t i = 0; i < texts.size(); ++i)
    for (const auto of : {2 * i + 1, 2 * i + 2})
      EXPECT_EQ(database_.query("SELECT key FROM cairn.segment WHERE id = " + std::to_string(of)), texts[i]);
}

TEST_F(NodeDatabaseTest, LookUpsSeeTheRound) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  const std::vector keys{make_identity(0, 1).key(), make_identity(0, 2).key()};
  auto facts = round_of(list);
  facts.look_ups = keys;
  const auto outcome = node_->begin_round(facts);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->look_ups[0]->id, segment_id{1});
  EXPECT_FALSE(outcome->look_ups[1]);
}

TEST_F(NodeDatabaseTest, RefusedRecordIsRejectedAloneAndItsRoundGoesOn) {
  auto num = make_identity(2, 2);
  num.segment.segment_num = 300;
  auto far_num = make_identity(3, 3);
  far_num.segment.segment_num = 70'000;
  const auto not_utf8 = make_identity(4, 4, "\xff\xfe");
  const auto empty_key = make_identity(5, 5, "");
  const auto long_key = make_identity(6, 6, std::string(1025, 'k'));
  record_list list;
  list.add_entire(make_identity(1, 1));
  for (const auto& bad : {num, far_num, not_utf8, empty_key, long_key})
    list.add(make_sequence(bad, 0));
  list.add(node_record{node_id{1}, "north", "h", 1}).add(node_record{node_id{2}, "north", "h", 1});
  list.add(tombstone_record{make_identity(7, 7), {}}).add_entire(make_identity(8, 8));
  const auto outcome = node_->begin_round(round_of(list));
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_TRUE(node_->commit_round());
  std::vector<std::size_t> refused;
  for (std::size_t i = 0; i < outcome->records.size(); ++i)
    if (outcome->records[i].what == kind::refused) {
      refused.push_back(i);
      EXPECT_FALSE(outcome->records[i].reason.empty());
      EXPECT_EQ(outcome->records[i].reason.find('\n'), std::string::npos) << outcome->records[i].reason;
    }
  EXPECT_EQ(refused, (std::vector<std::size_t>{2, 3, 4, 5, 6, 8}));
  EXPECT_EQ(database_.query("SELECT string_agg(lsn::text, ',' ORDER BY lsn) FROM cairn.rejected"),
            "3,4,5,6,7,9");
  EXPECT_EQ(database_.query("SELECT string_agg(id::text, ',' ORDER BY id) FROM cairn.segment"), "1,7,8");
  EXPECT_EQ(node_->position().value(), list.last_lsn());
}

TEST_F(NodeDatabaseTest, RecordThatIsNotToBlameIsNotRejected) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  database_.query("ALTER TABLE cairn.meta RENAME TO elsewhere");
  database_.query("ALTER TABLE cairn.segment_sequence RENAME TO gone");
  const auto begun = node_->begin_round(round_of(list));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, errc::database_unavailable);
  EXPECT_EQ(count("rejected"), "0");
  database_.query("ALTER TABLE cairn.gone RENAME TO segment_sequence");
  database_.query("ALTER TABLE cairn.elsewhere RENAME TO meta");
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(count("segment"), "1");
}

TEST_F(NodeDatabaseTest, PositionThatAnotherSessionHoldsLockedIsUnavailableInTime) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  const auto other = database_.open();
  ASSERT_TRUE(other->begin_round(round_of(list)));
  auto hasty = open_with("lock_timeout=100ms");
  const auto begun = hasty->begin_round(round_of(list));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, errc::database_unavailable) << "not the round's fault: it is tried again";
  EXPECT_NE(begun.error().message.find("another session"), std::string::npos) << begun.error().message;
  other->abandon_round();
  hasty = open_with("lock_timeout=100ms");
  ASSERT_TRUE(hasty->begin_round(round_of(list)));
  ASSERT_TRUE(hasty->commit_round());
  EXPECT_EQ(count("segment"), "1");
  EXPECT_EQ(count("rejected"), "0");
}

TEST_F(NodeDatabaseTest, SessionThatIdlesInARoundGivesWayAndItsCommitIsUnavailable) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  const auto idle = open_with("idle_in_transaction_session_timeout=100ms");
  ASSERT_TRUE(idle->begin_round(round_of(list)));
  ASSERT_TRUE(node_->begin_round(round_of(list))) << "as soon as the other's lock is gone";
  ASSERT_TRUE(node_->commit_round());
  const auto committed = idle->commit_round();
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, errc::database_unavailable);
}

TEST_F(NodeDatabaseTest, WritersSessionNeitherIdlesInARoundNorWaitsForALockForEver) {
  database_.query("CREATE TABLE public.seen (name text, setting text)");
  database_.query(
    "CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO public.seen SELECT name, setting FROM pg_catalog.pg_settings"
    " WHERE name IN ('lock_timeout', 'idle_in_transaction_session_timeout'); RETURN NEW; END $$");
  database_.query("CREATE TRIGGER see BEFORE UPDATE ON cairn.log_position FOR EACH ROW"
                  " EXECUTE FUNCTION public.see()");
  record_list list;
  list.add_entire(make_identity(1, 1));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(database_.query("SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM public.seen"),
            "idle_in_transaction_session_timeout=60000 lock_timeout=30000");
}

TEST_F(NodeDatabaseTest, StatementsOfALargeRoundStayFarBelowWhatPostgresTakes) {
  database_.query("CREATE TABLE public.seen (bytes int8)");
  database_.query("CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO"
                  " public.seen SELECT sum(length(meta_key) + length(meta_value)) FROM fresh; RETURN NULL;"
                  " END $$");
  database_.query("CREATE TRIGGER see AFTER INSERT ON cairn.meta REFERENCING NEW TABLE AS fresh"
                  " FOR EACH STATEMENT EXECUTE FUNCTION public.see()");
  metadata meta;
  for (std::size_t i = 0; i < max_meta_pairs; ++i)
    meta.emplace("key-" + std::to_string(i), std::string(max_meta_value_bytes, 'v'));
  record_list list;
  for (std::int64_t id = 1; id <= 300; ++id)
    list.add_entire(make_identity(id, static_cast<std::uint64_t>(id)), meta);
  const auto begun = node_->begin_round(round_of(list));
  ASSERT_TRUE(begun) << begun.error().message;
  for (const auto& outcome : begun->records)
    EXPECT_EQ(outcome.what, kind::applied);
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.segment WHERE status = 'F'"), "300");
  EXPECT_EQ(count("meta"), std::to_string(300 * max_meta_pairs));
  EXPECT_EQ(database_.query("SELECT max(bytes) < 16 << 20 FROM public.seen"), "t");
}

TEST_F(NodeDatabaseTest, SessionThatEndsInARoundIsUnavailable) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  database_.kill_sessions();
  const auto committed = node_->commit_round();
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, errc::database_unavailable);
  node_ = database_.open();
  EXPECT_EQ(node_->position().value(), log_sequence_number{})
    << "the position tells that it was not committed";
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(count("segment"), "1");
}

TEST_F(NodeDatabaseTest, SessionThatEndsBetweenRoundsIsUnavailable) {
  record_list list;
  list.add_entire(make_identity(1, 1));
  database_.kill_sessions();
  const auto begun = node_->begin_round(round_of(list));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, errc::database_unavailable);
  node_->abandon_round();
  EXPECT_EQ(count("rejected"), "0");
  node_ = database_.open();
  EXPECT_EQ(node_->position().value(), log_sequence_number{});
}

TEST_F(NodeDatabaseTest, EverythingElseFailsOnALostSessionToo) {
  database_.kill_sessions();
  EXPECT_EQ(node_->position().error().code, errc::database_unavailable);
  node_ = database_.open();
  database_.kill_sessions();
  EXPECT_EQ(node_->load_state().error().code, errc::database_unavailable);
  node_ = database_.open();
  database_.kill_sessions();
  EXPECT_EQ(node_->put_value_files({}).error().code, errc::database_unavailable);
  node_ = database_.open();
  database_.kill_sessions();
  EXPECT_EQ(node_->active_segments().error().code, errc::database_unavailable);
}

TEST_F(NodeDatabaseTest, StateOfAStart) {
  record_list list;
  list.add_entire(make_identity(1, 1)).add(make_sequence(make_identity(9, 2), 0));
  list.add(make_conjoined(30, 3, conjoined_action::start));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  const auto state = node_->load_state().value();
  EXPECT_EQ(state.position, list.last_lsn());
  EXPECT_EQ(state.max_row_id, 30);
  const auto active = node_->active_segments().value();
  ASSERT_EQ(active.size(), 1U);
  EXPECT_EQ(active[0].id, segment_id{9});
  EXPECT_EQ(active[0].key, make_identity(9, 2).key());
}

TEST_F(NodeDatabaseTest, CancelledKeysComeLatestFirst) {
  record_list list;
  for (std::int64_t id = 1; id <= 3; ++id) {
    const auto of = make_identity(id, static_cast<std::uint64_t>(id));
    list.add(make_sequence(of, 0)).add(make_cancel(of.key()));
  }
  list.add_entire(make_identity(4, 4));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  EXPECT_EQ(node_->cancelled_keys(2).value(),
            (std::vector{make_identity(0, 3).key(), make_identity(0, 2).key()}));
}

TEST_F(NodeDatabaseTest, DamageIsNotedOncePerSequence) {
  const auto of = make_identity(1, 1, "it's {damaged}");
  record_list list;
  for (std::int32_t number = 0; number < 4; ++number)
    list.add(make_sequence(of, number));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  for (const std::size_t number : {3U, 1U, 2U, 3U}) {
    const auto& record = std::get<sequence_record>(list.all()[number].body);
    const auto& at = list.all()[number].at;
    ASSERT_TRUE(node_->put_damaged(of.segment, {record.sequence, at.value_file, at.data_offset()}));
  }
  EXPECT_EQ(database_.query("SELECT sequence_numbers FROM cairn.damaged_segment"), "{1,2,3}");
}

TEST_F(NodeDatabaseTest, DamageOfBytesThatNoRowPointsToIsNotTheSegments) {
  const auto of = make_identity(1, 1);
  record_list list;
  list.add_entire(of);
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  const auto& record = std::get<sequence_record>(list.all()[0].body);
  const auto& at = list.all()[0].at;
  ASSERT_TRUE(node_->put_damaged(of.segment, {record.sequence, at.value_file, at.data_offset() + 8}));
  ASSERT_TRUE(node_->put_damaged(of.segment, {record.sequence, value_file_id{99}, at.data_offset()}));
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.damaged_segment"), "0");
}

TEST_F(NodeDatabaseTest, LostBytesAreNotedForEverySegmentThatPointsThere) {
  record_list list;
  for (std::int64_t id = 1; id <= 3; ++id)
    list.add_entire(make_identity(id, static_cast<std::uint64_t>(id)));
  list.add(make_cancel(make_identity(3, 3).key()));
  ASSERT_TRUE(node_->begin_round(round_of(list)));
  ASSERT_TRUE(node_->commit_round());
  const auto& first = list.all()[0].at;
  const auto& second = list.all()[2].at;
  const auto noted = [&] {
    return database_.query("SELECT string_agg(unified_id::text || status, ',' ORDER BY"
                           " unified_id) FROM cairn.damaged_segment");
  };
  // Records are lost whole. Data begin behind the header, and may be none: then the next record begins there.
  EXPECT_EQ(node_->put_lost({first.value_file, first.data_offset(), second.record_offset}), 0);
  EXPECT_EQ(noted(), "NULL") << "its record is not lost";
  EXPECT_EQ(node_->put_lost({first.value_file, first.record_offset, first.data_offset()}), 1);
  EXPECT_EQ(noted(), "1D");
  const lost_bytes all{first.value_file, 0, lost_bytes::to_the_end, damage::missing};
  EXPECT_EQ(node_->put_lost(all), 2) << "not the one that was cancelled";
  EXPECT_EQ(noted(), "1M,2M");
  EXPECT_EQ(node_->put_lost(all), 0) << "all of that is known";
}

TEST_F(NodeDatabaseTest, ValueFileRowsOutsideRounds) {
  value_file_row row;
  row.id = value_file_id{4};
  row.space = space_id{1};
  ASSERT_TRUE(node_->put_value_files({&row, 1}));
  EXPECT_EQ(count("value_file"), "1");
  ASSERT_TRUE(node_->drop_value_file(row.id));
  EXPECT_EQ(count("value_file"), "0");
  row.id = value_file_id{-1};
  EXPECT_EQ(node_->put_value_files({&row, 1}).error().code, errc::internal_error);
}

} // namespace
} // namespace cairn
