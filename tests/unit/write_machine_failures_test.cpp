// Writes and syncs that fail, in every phase of a round.

#include "tests/support/write_rig.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

/// The whole segment, sent again, is stored and survives a crash.
void expect_repeat_works(write_rig& rig, std::uint64_t version) {
  const auto again = rig.send(entire(version));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success) << rig.answer(again)->message;
  EXPECT_EQ(rig.status(version), segment_status::final);
  const auto after = rig.after_crash().load(sample_key(version));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->status, segment_status::final);
}

TEST(WriteMachineFailuresTest, AppendThatFailsFailsItsBatch) {
  write_rig rig;
  const auto begun = rig.send(start(1));
  const auto whole = rig.send(entire(2));
  const auto deleted = rig.send(destroy(3));
  rig.take_append();
  const auto later = rig.send(entire(4));
  rig.fail();
  for (const auto& ticket : {begun, whole, deleted})
    EXPECT_EQ(rig.code(ticket), errc::storage_error);
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  rig.settle();
  EXPECT_EQ(rig.code(later), errc::success) << "the node goes on";
  for (const std::uint64_t version : {1, 2})
    expect_repeat_works(rig, version);
  const auto deleted_again = rig.send(destroy(3));
  rig.settle();
  EXPECT_EQ(rig.code(deleted_again), errc::success);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, AppendOfTheRoundThatFailsLosesTheBatchesBeforeItToo) {
  write_rig rig;
  rig.send(start(1));
  rig.append();
  const auto whole = rig.send(entire(2));
  const auto synced = rig.send(sync_request{});
  rig.machine().start_round();
  rig.take_append();
  rig.fail();
  EXPECT_EQ(rig.code(whole), errc::storage_error);
  EXPECT_EQ(rig.code(synced), errc::storage_error);
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  const auto stray = rig.send(next(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(stray), errc::unknown_segment);
  expect_repeat_works(rig, 1);
  expect_repeat_works(rig, 2);
}

TEST(WriteMachineFailuresTest, SyncThatFailsTakesTheRoundBack) {
  write_rig rig;
  const auto whole = rig.send(entire(1));
  const auto joined = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  ASSERT_TRUE(rig.fold_is_sent());
  rig.fail();
  EXPECT_FALSE(rig.fold_is_sent()) << "abandoned";
  EXPECT_FALSE(rig.commit());
  EXPECT_EQ(rig.code(whole), errc::storage_error);
  EXPECT_EQ(rig.code(joined), errc::storage_error);
  EXPECT_EQ(rig.status(1), std::nullopt);
  expect_repeat_works(rig, 1);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, RoundWhoseRowsWereNotSentIsNotAbandoned) {
  write_machine machine({}, {});
  machine.admit({{1, 1}, entire(1)}, std::chrono::steady_clock::now());
  machine.start_round();
  ASSERT_TRUE(machine.take_append());
  machine.appended({{log_sequence_number{1}, value_file_id{1}, 4096, 128, 0, 0},
                    {log_sequence_number{2}, value_file_id{1}, 4608, 128, 0, 0}},
                   {});
  machine.write_failed({}, {}, {}, {errc::storage_error, "the disk failed"});
  EXPECT_FALSE(machine.take_fold());
  EXPECT_FALSE(machine.take_abandon());
}

TEST(WriteMachineFailuresTest, AppendQueuedBehindTheFailedSyncFailsWithIt) {
  write_rig rig;
  const auto whole = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  const auto begun = rig.send(start(2));
  ASSERT_TRUE(rig.take_append());
  rig.fail();
  EXPECT_EQ(rig.code(whole), errc::storage_error);
  EXPECT_EQ(rig.code(begun), errc::storage_error);
  expect_repeat_works(rig, 1);
  expect_repeat_works(rig, 2);
}

TEST(WriteMachineFailuresTest, AppendThatFailsWhileARoundCommitsLeavesTheRoundAlone) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  rig.write_and_sync();
  const auto second = rig.send(start(2));
  ASSERT_TRUE(rig.take_append());
  rig.fail();
  EXPECT_EQ(rig.code(second), errc::storage_error);
  EXPECT_FALSE(rig.answer(first));
  ASSERT_TRUE(rig.commit());
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::final);
  rig.settle();
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, SyncThatFailsLeavesTheRoundThatTheDatabaseHas) {
  write_rig rig;
  const auto first = rig.send_archives(16);
  rig.write_and_sync();
  const auto second = rig.send_archives(12);
  rig.machine().start_round();
  rig.append();
  rig.fail();
  for (const auto& ticket : second)
    EXPECT_EQ(rig.code(ticket), errc::storage_error);
  EXPECT_FALSE(rig.answer(first.front()));
  ASSERT_TRUE(rig.commit()) << "it was synced before";
  for (const auto& ticket : first)
    EXPECT_EQ(rig.code(ticket), errc::success);
  rig.settle();
  EXPECT_EQ(rig.after_crash(), rig.database);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, WhatWasSyncedForTheNextRoundSurvivesALaterSync) {
  write_rig rig;
  rig.send_archives(16);
  rig.write_and_sync();
  const auto second = rig.send_archives(12);
  rig.write_and_sync();
  const auto third = rig.send_archives(21);
  rig.machine().start_round();
  rig.append();
  rig.fail();
  rig.settle();
  for (const auto& ticket : second)
    EXPECT_EQ(rig.code(ticket), errc::success);
  for (const auto& ticket : third)
    EXPECT_EQ(rig.code(ticket), errc::storage_error);
  EXPECT_EQ(rig.after_crash(), rig.database);
}

TEST(WriteMachineFailuresTest, RecordsThatARolloverSyncedSurvive) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  const auto second = rig.send(entire(2));
  rig.machine().start_round();
  rig.take_append();
  rig.fail(3, 3); // the second's final is lost
  EXPECT_FALSE(rig.answer(first)) << "it is synced and waits for its rows";
  EXPECT_EQ(rig.code(second), errc::storage_error);
  rig.settle();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::final);
  EXPECT_EQ(rig.status(2), std::nullopt);
  expect_repeat_works(rig, 2);
}

TEST(WriteMachineFailuresTest, PartOfARoundThatIsUnderWaySurvives) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  const auto second = rig.send(entire(2));
  const auto third = rig.send(destroy(3));
  rig.machine().start_round();
  rig.append();
  const auto asked = rig.send(next(9, 1));
  rig.fail(0, 2);
  EXPECT_EQ(rig.code(second), errc::storage_error);
  EXPECT_EQ(rig.code(third), errc::storage_error);
  rig.settle();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_EQ(rig.answer(first)->proof.lsn, log_sequence_number{2});
  EXPECT_EQ(rig.code(asked), errc::unknown_segment);
  expect_repeat_works(rig, 2);
}

TEST(WriteMachineFailuresTest, SurvivorsGoOnWhenTheNextSyncFailsToo) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  const auto second = rig.send(entire(2));
  rig.machine().start_round();
  rig.append();
  rig.fail(0, 2);
  EXPECT_EQ(rig.code(second), errc::storage_error);
  // A round of survivors alone; the forgetting of the second is part of it.
  rig.machine().start_round();
  ASSERT_TRUE(rig.take_append());
  rig.fail();
  rig.settle();
  EXPECT_EQ(rig.code(first), errc::success);
  expect_repeat_works(rig, 2);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, RoundWithoutRecordsOutlivesAFailedSync) {
  write_rig rig;
  const auto first = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  const auto synced = rig.send(sync_request{});
  rig.finish_sync();
  rig.commit();
  EXPECT_EQ(rig.code(first), errc::success);
  rig.machine().start_round();
  ASSERT_TRUE(rig.append());
  EXPECT_EQ(rig.last_append_count(), 0U);
  rig.fail();
  rig.settle();
  EXPECT_EQ(rig.code(synced), errc::success) << "all before it was durable";
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, FinalYetToBeWrittenFailsWithItsEarlierSequences) {
  for (const std::size_t survivors : {0U, 1U}) {
    write_rig rig;
    rig.send(start(1));
    rig.send(next(1, 1));
    rig.append();
    const auto other = rig.send(entire(2));
    rig.machine().start_round();
    rig.append();
    // Not yet given to the log when its sequences are lost.
    const auto more = rig.send(next(1, 2));
    const auto again = rig.send(next(1, 2));
    const auto last = rig.send(final(1, 3));
    const auto joined = rig.send(final(1, 3));
    rig.fail(0, survivors);
    for (const auto& ticket : {other, more, again, last, joined})
      EXPECT_EQ(rig.code(ticket), errc::storage_error);
    rig.settle();
    EXPECT_EQ(rig.status(1), std::nullopt) << "what survived is forgotten";
    EXPECT_TRUE(rig.machine().is_quiet());
    expect_repeat_works(rig, 1);
  }
}

TEST(WriteMachineFailuresTest, NextYetToBeWrittenFailsWithItsSegment) {
  write_rig rig;
  rig.send(start(1));
  rig.append();
  rig.send(entire(2));
  rig.machine().start_round();
  rig.take_append();
  const auto more = rig.send(next(1, 1));
  const auto again = rig.send(start(1));
  const auto untouched = rig.send(start(3));
  rig.fail();
  EXPECT_EQ(rig.code(more), errc::storage_error);
  EXPECT_EQ(rig.code(again), errc::storage_error);
  rig.append();
  EXPECT_EQ(rig.code(untouched), errc::success);
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);
  const auto last = rig.send(final(3, 1));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
}

TEST(WriteMachineFailuresTest, ActiveSegmentWithSyncedBytesAloneGoesOn) {
  write_rig rig;
  rig.send(start(1));
  rig.round();
  const auto whole = rig.send(entire(2));
  rig.machine().start_round();
  rig.append();
  rig.fail();
  EXPECT_EQ(rig.code(whole), errc::storage_error);
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);
  const auto last = rig.send(final(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
}

TEST(WriteMachineFailuresTest, AttemptWithSyncedBytesIsForgottenByARecord) {
  write_rig rig;
  rig.send(start(1));
  rig.round();
  ASSERT_EQ(rig.status(1), segment_status::active);
  rig.send(next(1, 1));
  rig.append();
  rig.fail();
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  EXPECT_TRUE(rig.machine().round_is_due());
  rig.round();
  const auto& record = std::get<cancel_record>(rig.last_fold()->records.front().body);
  EXPECT_EQ(record.reason, cancel_reason::storage_fault);
  EXPECT_EQ(rig.status(1), std::nullopt);
  expect_repeat_works(rig, 1);
}

TEST(WriteMachineFailuresTest, ForgettingIsRepeatedWhenItsOwnWriteFails) {
  write_rig rig;
  rig.send(start(1));
  rig.round();
  rig.send(next(1, 1));
  rig.append();
  rig.fail();
  for (int i = 0; i < 3; ++i) {
    rig.machine().start_round();
    if (i % 2 == 0)
      ASSERT_TRUE(rig.append());
    else
      ASSERT_TRUE(rig.take_append());
    rig.fail();
  }
  rig.settle();
  EXPECT_EQ(rig.status(1), std::nullopt);
  expect_repeat_works(rig, 1);
}

TEST(WriteMachineFailuresTest, CancelIsRepeatedThoughItsSenderWasToldOfTheFailure) {
  write_rig rig;
  const auto last = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  const auto cancelled = rig.send(cancel(1)); // overtakes a final that becomes durable
  rig.finish_sync();
  rig.commit();
  ASSERT_EQ(rig.status(1), segment_status::final);
  rig.machine().start_round();
  rig.append();
  rig.fail();
  EXPECT_EQ(rig.code(cancelled), errc::storage_error);
  EXPECT_FALSE(rig.answer(last)) << "it may be visible: it cannot be told that it never will be";
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::cancelled);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  const auto again = rig.send(cancel(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
}

TEST(WriteMachineFailuresTest, IdleCancelIsRepeatedWhenItsWriteFails) {
  write_rig rig;
  rig.send(start(1));
  rig.round();
  rig.pass(61s);
  rig.machine().start_round();
  rig.append();
  rig.fail();
  rig.settle();
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
}

TEST(WriteMachineFailuresTest, GatewayStartIsToldAndItsCancelsComeToPass) {
  write_rig rig;
  rig.send(start(1));
  const auto waits = rig.send(entire(2));
  rig.round();
  rig.send(start(3));
  const auto ticket = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  rig.machine().start_round();
  rig.append();
  rig.fail(0, 2);
  EXPECT_EQ(rig.code(ticket), errc::storage_error);
  const auto again = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  EXPECT_FALSE(rig.answer(again));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_EQ(rig.code(waits), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_NE(rig.status(3), segment_status::active);
}

TEST(WriteMachineFailuresTest, FinalAndItsCancelLostTogether) {
  write_rig rig;
  const auto last = rig.send(entire(1));
  const auto cancelled = rig.send(cancel(1));
  rig.machine().start_round();
  rig.append();
  rig.fail();
  EXPECT_EQ(rig.code(cancelled), errc::storage_error);
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::cancelled);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, FailureDuringTheStopStillEndsIt) {
  write_rig rig;
  rig.send(start(1));
  rig.round();
  const auto waits = rig.send(entire(2));
  rig.machine().stop();
  rig.machine().start_round();
  rig.append();
  rig.fail();
  EXPECT_EQ(rig.code(waits), errc::storage_error);
  rig.settle();
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineFailuresTest, FullDiskIsToldAsNoSpace) {
  write_rig rig;
  const auto ticket = rig.send(entire(1));
  rig.machine().start_round();
  rig.take_append();
  rig.fail(0, 0, errc::no_space);
  EXPECT_EQ(rig.code(ticket), errc::no_space);
  expect_repeat_works(rig, 1);
}

TEST(WriteMachineFailuresTest, WaitsGivenUpAreNotAnsweredAgainByALaterFailure) {
  write_rig rig;
  const auto ticket = rig.send(entire(1));
  rig.machine().start_round();
  rig.append();
  rig.pass(11s);
  EXPECT_EQ(rig.code(ticket), errc::timed_out);
  rig.fail();
  rig.settle();
  EXPECT_EQ(rig.code(ticket), errc::timed_out);
  EXPECT_TRUE(rig.machine().is_quiet());
}

} // namespace
} // namespace cairn
