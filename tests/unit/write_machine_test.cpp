#include "tests/support/write_rig.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

TEST(WriteMachineTest, EntireIsAnsweredOnlyAfterSyncAndCommit) {
  write_rig rig;
  const auto ticket = rig.send(entire(1));
  EXPECT_TRUE(rig.machine().round_is_due());
  rig.machine().start_round();
  EXPECT_FALSE(rig.machine().round_is_due());
  ASSERT_TRUE(rig.append());
  EXPECT_EQ(rig.last_append_count(), 2U); // sequence and final
  ASSERT_TRUE(rig.fold_is_sent()) << "the rows overlap the sync";
  EXPECT_FALSE(rig.commit()) << "not before the sync";
  EXPECT_FALSE(rig.answer(ticket));
  rig.finish_sync();
  EXPECT_FALSE(rig.answer(ticket));
  ASSERT_TRUE(rig.commit());

  const auto answer = rig.answer(ticket);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, errc::success);
  EXPECT_EQ(answer->proof.lsn, log_sequence_number{2}) << "the receipt names the final";
  EXPECT_EQ(answer->proof.value_file, value_file_id{1});
  EXPECT_EQ(answer->proof.round, round_number{1});
  EXPECT_NE(answer->proof.offset_bytes, 0U);
  EXPECT_EQ(rig.status(1), segment_status::final);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineTest, StartAndNextAreAnsweredWhenAppended) {
  write_rig rig;
  const auto first = rig.send(start(1));
  EXPECT_FALSE(rig.answer(first));
  ASSERT_TRUE(rig.take_append()) << "it needs no round";
  EXPECT_FALSE(rig.answer(first));
  rig.finish_append();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_EQ(rig.answer(first)->proof, receipt{}) << "no durability was promised";

  const auto second = rig.send(next(1, 1));
  ASSERT_TRUE(rig.append());
  EXPECT_EQ(rig.code(second), errc::success);
  EXPECT_FALSE(rig.machine().round_is_due());
  EXPECT_TRUE(rig.machine().has_unsynced());
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);

  rig.round(); // the timer's
  EXPECT_EQ(rig.status(1), segment_status::active);
  EXPECT_FALSE(rig.machine().has_unsynced());
  EXPECT_FALSE(rig.machine().is_quiet()) << "a segment is active";
}

TEST(WriteMachineTest, SegmentOfManySequencesBecomesFinal) {
  write_rig rig;
  std::vector<write_ticket> written;
  written.push_back(rig.send(start(1)));
  rig.round();
  for (std::int32_t number = 1; number <= 3; ++number) {
    written.push_back(rig.send(next(1, number)));
    rig.append();
  }
  const auto done = rig.send(final(1, 4));
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  rig.settle();
  for (const auto& ticket : written)
    EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.code(done), errc::success);
  ASSERT_EQ(rig.status(1), segment_status::final);
  EXPECT_EQ(rig.database.load(sample_key(1))->sequences.size(), 5U);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineTest, MessagesOfOneSegmentKeepTheirOrderWhenTheFirstDigestIsSlow) {
  write_rig rig;
  const auto big = rig.send(unchecked(start(1)));
  const auto small = rig.send(next(1, 1));
  const auto last = rig.send(final(1, 2));
  EXPECT_FALSE(rig.take_append());
  EXPECT_FALSE(rig.machine().is_quiet());
  ASSERT_TRUE(rig.digest());
  rig.settle();
  EXPECT_EQ(rig.code(big), errc::success);
  EXPECT_EQ(rig.code(small), errc::success);
  EXPECT_EQ(rig.code(last), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::final);
}

TEST(WriteMachineTest, CancelKeepsItsPlaceBehindADigest) {
  write_rig rig;
  const auto begun = rig.send(unchecked(start(1)));
  const auto cancelled = rig.send(cancel(1));
  rig.settle();
  EXPECT_EQ(rig.code(begun), errc::success);
  EXPECT_EQ(rig.code(cancelled), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
}

TEST(WriteMachineTest, OtherSegmentsAreNotHeldUpByADigest) {
  write_rig rig;
  const auto slow = rig.send(unchecked(entire(1)));
  const auto quick = rig.send(entire(2));
  ASSERT_EQ(rig.digest_job_count(), 1U);
  rig.round();
  EXPECT_EQ(rig.code(quick), errc::success);
  EXPECT_FALSE(rig.answer(slow));
  rig.digest();
  rig.round();
  EXPECT_EQ(rig.code(slow), errc::success);
}

TEST(WriteMachineTest, DataThatFailItsDigestAreRefusedAndNothingElse) {
  for (const auto verdict : {errc::size_mismatch, errc::md5_mismatch, errc::adler32_mismatch}) {
    write_rig rig;
    const auto begun = rig.send(start(1));
    const auto bad = rig.send(unchecked(next(1, 1)));
    const auto last = rig.send(final(1, 1));
    rig.digest(verdict);
    rig.settle();
    EXPECT_EQ(rig.code(begun), errc::success);
    EXPECT_EQ(rig.code(bad), verdict);
    EXPECT_EQ(rig.code(last), errc::success) << "the bad message left the segment as it was";
  }
}

TEST(WriteMachineTest, WhatComesDuringARoundGoesIntoTheNext) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  const auto second = rig.send(entire(2));
  EXPECT_FALSE(rig.machine().round_is_due()) << "one sync at a time";
  rig.machine().start_round();
  EXPECT_FALSE(rig.append());
  rig.finish_sync();
  rig.commit();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_FALSE(rig.answer(second));
  EXPECT_TRUE(rig.machine().round_is_due()) << "at once when a completion waits";
  rig.round();
  EXPECT_EQ(rig.code(second), errc::success);
  EXPECT_EQ(rig.answer(second)->proof.round, round_number{2});
}

TEST(WriteMachineTest, NextRoundIsWrittenAndSyncedWhileTheDatabaseHasOne) {
  write_rig rig;
  const auto first = rig.send_archives(16);
  rig.write_and_sync();
  const auto second = rig.send_archives(12);
  ASSERT_TRUE(rig.machine().round_is_due());
  rig.machine().start_round();
  ASSERT_TRUE(rig.append());
  EXPECT_EQ(rig.last_fold()->round, round_number{1}) << "its rows wait for the database";
  EXPECT_FALSE(rig.machine().is_quiet());
  const auto everything = rig.send(sync_request{});
  rig.finish_sync();
  for (const auto& ticket : first)
    EXPECT_FALSE(rig.answer(ticket));

  ASSERT_TRUE(rig.commit());
  for (const auto& ticket : first)
    EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_FALSE(rig.answer(second.front()));
  EXPECT_EQ(rig.last_fold()->round, round_number{2});
  EXPECT_EQ(rig.machine().position(), log_sequence_number{32});
  ASSERT_TRUE(rig.commit()) << "at once: it is synced";
  for (const auto& ticket : second)
    EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.answer(second.front())->proof.round, round_number{2});
  EXPECT_FALSE(rig.answer(everything));
  rig.round();
  EXPECT_EQ(rig.code(everything), errc::success);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineTest, RowsGoDuringTheSyncWhenTheDatabaseIsFreeByThen) {
  write_rig rig;
  rig.send_archives(12);
  rig.write_and_sync();
  const auto second = rig.send_archives(12);
  rig.machine().start_round();
  rig.append();
  ASSERT_TRUE(rig.commit());
  EXPECT_EQ(rig.last_fold()->round, round_number{2});
  EXPECT_FALSE(rig.commit()) << "not before its sync";
  rig.finish_sync();
  ASSERT_TRUE(rig.commit());
  EXPECT_EQ(rig.code(second.front()), errc::success);
}

TEST(WriteMachineTest, WhatIsWrittenWhileTheDatabaseIsBusyIsItsNextRoundTogether) {
  write_rig rig;
  rig.send_archives(16);
  rig.write_and_sync();
  std::vector<write_ticket> waiting;
  for (const std::size_t count : {12U, 21U}) {
    const auto more = rig.send_archives(count);
    waiting.insert(waiting.end(), more.begin(), more.end());
    ASSERT_TRUE(rig.machine().round_is_due()) << count;
    rig.write_and_sync();
  }
  rig.commit();
  EXPECT_EQ(rig.last_fold()->records.size(), 66U);
  ASSERT_TRUE(rig.commit());
  for (const auto& ticket : waiting)
    EXPECT_EQ(rig.code(ticket), errc::success);
}

TEST(WriteMachineTest, AFewWaitForTheDatabase) {
  write_rig rig;
  rig.send_archives(16);
  rig.write_and_sync();
  rig.send_archives(11);
  EXPECT_FALSE(rig.machine().round_is_due()) << "a round for a few costs as much as one for many";
  rig.send_archives(1);
  EXPECT_TRUE(rig.machine().round_is_due());
}

TEST(WriteMachineTest, RoundIsFullWhenAsManyWaitAsTheLastOneAnswered) {
  write_rig rig;
  rig.send(entire(1));
  EXPECT_TRUE(rig.machine().round_is_full()) << "nothing is known of other clients";
  rig.machine().start_round();
  rig.append(); // 1 alone
  for (std::uint64_t version = 2; version <= 8; ++version)
    rig.send(entire(version));
  rig.finish_sync();
  ASSERT_TRUE(rig.commit());
  EXPECT_TRUE(rig.machine().round_is_full()) << "seven of eight: one may have gone";
  rig.round();
  rig.send(entire(9));
  EXPECT_FALSE(rig.machine().round_is_full()) << "the seven that were answered are about to come back";
  for (std::uint64_t version = 10; version <= 15; ++version)
    rig.send(entire(version));
  EXPECT_TRUE(rig.machine().round_is_full());
  rig.round();
  rig.send(entire(16));
  rig.machine().stop();
  EXPECT_TRUE(rig.machine().round_is_full()) << "nobody is waited for at the end";
}

TEST(WriteMachineTest, StartsAreWrittenWhileARoundIsUnderWay) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  const auto second = rig.send(start(2));
  ASSERT_TRUE(rig.append());
  EXPECT_EQ(rig.code(second), errc::success);
  EXPECT_EQ(rig.last_fold()->records.size(), 2U) << "not part of the round that was begun";
  rig.finish_sync();
  rig.commit();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_EQ(rig.status(2), std::nullopt);
  rig.round();
  EXPECT_EQ(rig.status(2), segment_status::active);
}

TEST(WriteMachineTest, RoundTakesInWhatWasWrittenEarly) {
  write_rig rig;
  rig.send(start(1));
  rig.append();
  const auto ticket = rig.send(final(1, 1));
  rig.round();
  EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.last_append_count(), 2U);
  EXPECT_EQ(rig.last_fold()->records.size(), 3U);
}

TEST(WriteMachineTest, AtMostOneAppendIsOutstanding) {
  write_rig rig;
  const auto first = rig.send(start(1));
  ASSERT_TRUE(rig.take_append());
  const auto second = rig.send(start(2));
  const auto third = rig.send(entire(3));
  EXPECT_FALSE(rig.take_append());
  rig.machine().start_round();
  EXPECT_FALSE(rig.take_append());
  rig.finish_append();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_FALSE(rig.answer(second));
  ASSERT_TRUE(rig.append()) << "the round that was asked for";
  EXPECT_EQ(rig.code(second), errc::success);
  rig.finish_sync();
  rig.commit();
  EXPECT_EQ(rig.code(third), errc::success);
}

TEST(WriteMachineTest, MuchPayloadIsWrittenWithoutWaitingForTheRound) {
  write_machine_options options;
  options.early_write_bytes = 64U << 10U;
  write_rig rig(options);
  rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  auto big = entire(2);
  big.sequence.data = payload::uninitialized(64U << 10U);
  const auto ticket = rig.send(std::move(big));
  ASSERT_TRUE(rig.append());
  EXPECT_FALSE(rig.answer(ticket));
  rig.finish_sync();
  rig.commit();
  rig.settle();
  EXPECT_EQ(rig.code(ticket), errc::success);
}

TEST(WriteMachineTest, PayloadIsReleasedWhenWritten) {
  write_rig rig;
  auto request = start(1);
  request.sequence.data = payload::uninitialized(100);
  rig.send(std::move(request));
  rig.append();
  rig.round();
  for (const auto& record : rig.last_fold()->records)
    EXPECT_TRUE(std::get<sequence_record>(record.body).data.empty());
}

TEST(WriteMachineTest, SyncIsAnsweredWhenAllBeforeItIsDurable) {
  write_rig rig;
  EXPECT_EQ(rig.code(rig.send(sync_request{})), errc::success) << "nothing to wait for";
  rig.send(start(1));
  const auto unwritten = rig.send(sync_request{});
  rig.append();
  EXPECT_FALSE(rig.answer(unwritten));
  const auto written = rig.send(sync_request{});
  rig.machine().start_round();
  rig.append();
  const auto under_way = rig.send(sync_request{});
  EXPECT_FALSE(rig.answer(written));
  rig.finish_sync();
  rig.commit();
  EXPECT_EQ(rig.code(unwritten), errc::success);
  EXPECT_EQ(rig.code(written), errc::success);
  EXPECT_FALSE(rig.answer(under_way));
  rig.settle();
  EXPECT_EQ(rig.code(under_way), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::active);
}

TEST(WriteMachineTest, RowsOfValueFilesGoWithTheRound) {
  write_rig rig;
  rig.machine().start_round();
  EXPECT_FALSE(rig.append()) << "nothing to do is no round";
  rig.send(start(1));
  auto job = rig.machine().take_append();
  ASSERT_TRUE(job);
  value_file_row row;
  row.id = value_file_id{9};
  rig.machine().appended({placement{log_sequence_number{1}, value_file_id{9}, 4096, 128, 0, 0}}, {row});
  rig.machine().start_round();
  ASSERT_TRUE(rig.machine().take_append());
  rig.machine().appended({}, {});
  const auto fold = rig.machine().take_fold();
  ASSERT_TRUE(fold);
  EXPECT_EQ(fold->file_rows, std::vector{row});
  EXPECT_EQ(fold->new_position, log_sequence_number{1});
}

TEST(WriteMachineTest, OtherFactsAreAnsweredWhenDurable) {
  write_rig rig;
  const auto tombstone = rig.send(destroy(1));
  conjoined_request step;
  step.step.collection = collection_id{7};
  step.step.key = "big";
  step.step.version = unified_id{50};
  const auto conjoined = rig.send(step);
  const auto purged = rig.send(purge_request{{sample_identity(3, node_id{4}).key()}});
  const auto node = rig.send(configure_request{node_record{node_id{5}, "east", "host", 4242}});
  for (const auto& ticket : {tombstone, conjoined, purged, node})
    EXPECT_FALSE(rig.answer(ticket));
  rig.round();
  for (const auto& ticket : {tombstone, conjoined, purged, node}) {
    EXPECT_EQ(rig.code(ticket), errc::success);
    EXPECT_NE(rig.answer(ticket)->proof.lsn, log_sequence_number{});
  }
  EXPECT_EQ(rig.answer(purged)->count, 1);
  EXPECT_EQ(rig.status(1), segment_status::tombstone);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineTest, RowIdsAreNeverGivenTwice) {
  write_machine_start begin;
  begin.next_row_id = 100;
  write_rig rig({}, begin);
  rig.send(entire(1));
  rig.send(start(2));
  rig.send(destroy(3));
  rig.round();
  std::set<std::int64_t> ids;
  for (const auto& [id, row] : rig.database.segments())
    ids.insert(id.value);
  EXPECT_EQ(ids, (std::set<std::int64_t>{100, 101, 102}));
}

TEST(WriteMachineTest, RecordThatTheDatabaseRefusesIsAnsweredAlone) {
  write_rig rig;
  rig.database.refuse = {log_sequence_number{1}}; // the sequence of the first
  const auto bad = rig.send(entire(1));
  const auto good = rig.send(entire(2));
  rig.round();
  EXPECT_EQ(rig.code(bad), errc::invalid_message);
  EXPECT_NE(rig.answer(bad)->message.find("refused by the test"), std::string::npos);
  EXPECT_EQ(rig.code(good), errc::success);
  rig.settle();
  EXPECT_TRUE(rig.machine().is_quiet());
  EXPECT_EQ(rig.code(rig.send(sync_request{})), errc::success);
}

TEST(WriteMachineTest, RefusedFinalDoesNotBlockItsKey) {
  write_rig rig;
  rig.database.refuse = {log_sequence_number{2}};
  EXPECT_EQ((rig.send(entire(1)), rig.settle(), rig.answers().begin()->second.code), errc::invalid_message);
  EXPECT_EQ(rig.status(1), std::nullopt) << "the attempt is forgotten";
  const auto again = rig.send(entire(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
}

TEST(WriteMachineTest, DatabaseThatIsTooSlowIsGivenUpAfterItsPatience) {
  write_machine_options options;
  options.database_patience = 10s;
  write_rig rig(options);
  const auto waits = rig.send(entire(1));
  const auto asks = rig.send(next(2, 1));
  rig.write_and_sync();
  const auto asks_later = rig.send(next(3, 1));
  EXPECT_TRUE(rig.machine().oldest_wait());
  rig.pass(10s);
  EXPECT_FALSE(rig.answer(waits));
  rig.pass(1ms);
  for (const auto& ticket : {waits, asks, asks_later})
    EXPECT_EQ(rig.code(ticket), errc::database_unavailable);

  const auto joins = rig.send(entire(1)); // unknown: so the client repeats it
  rig.commit();
  rig.settle();
  EXPECT_EQ(rig.code(joins), errc::success);
  EXPECT_TRUE(rig.machine().is_quiet());
  EXPECT_FALSE(rig.machine().oldest_wait());
}

TEST(WriteMachineTest, NoSpaceRefusesArchivesAloneUntilItIsBack) {
  write_rig rig;
  rig.send(start(1));
  rig.send(entire(2));
  rig.machine().space_changed(false);
  const auto begun = rig.send(start(3));
  const auto whole = rig.send(entire(4));
  const auto more = rig.send(next(1, 1));
  const auto last = rig.send(final(1, 1));
  for (const auto& ticket : {begun, whole, more, last})
    EXPECT_EQ(rig.code(ticket), errc::no_space);

  const auto deleted = rig.send(destroy(5));
  const auto cancelled = rig.send(cancel(6));
  const auto same_start = rig.send(start(1)); // stores nothing
  const auto same_entire = rig.send(entire(2));
  rig.settle();
  for (const auto& ticket : {deleted, cancelled, same_start, same_entire})
    EXPECT_EQ(rig.code(ticket), errc::success);

  rig.machine().space_changed(true);
  const auto resumed = rig.send(final(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(resumed), errc::success);
}

} // namespace
} // namespace cairn
