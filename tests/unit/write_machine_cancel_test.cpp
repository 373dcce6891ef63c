// Cancels: by clients, by a gateway that starts, by time, by the end of the node.

#include "tests/support/write_rig.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

void expect_cancelled_for_good(write_rig& rig, std::uint64_t version) {
  EXPECT_EQ(rig.code(rig.send(start(version))), errc::cancelled);
  EXPECT_EQ(rig.code(rig.send(entire(version))), errc::cancelled);
  EXPECT_EQ(rig.code(rig.send(next(version, 1))), errc::cancelled);
  EXPECT_EQ(rig.code(rig.send(final(version, 1))), errc::cancelled);
}

TEST(WriteMachineCancelTest, ActiveSegmentIsCancelledWhenTheCancelIsDurable) {
  write_rig rig;
  rig.send(start(1));
  rig.append();
  const auto ticket = rig.send(cancel(1));
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  expect_cancelled_for_good(rig, 1);
  EXPECT_FALSE(rig.answer(ticket));
  rig.round();
  EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_NE(rig.answer(ticket)->proof.lsn, log_sequence_number{});
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineCancelTest, FinalWhoseRoundStillFillsIsAnsweredCancelled) {
  write_rig rig;
  rig.send(start(1));
  const auto last = rig.send(final(1, 1));
  const auto joined = rig.send(final(1, 1));
  const auto ticket = rig.send(cancel(1));
  EXPECT_FALSE(rig.answer(last));
  rig.round();
  EXPECT_EQ(rig.code(last), errc::cancelled);
  EXPECT_EQ(rig.code(joined), errc::cancelled);
  EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
}

TEST(WriteMachineCancelTest, FinalWhoseRoundIsUnderWayIsHeldUntilTheCancelIsDurable) {
  for (const int when : {0, 1, 2}) {
    write_rig rig;
    const auto last = rig.send(entire(1));
    rig.machine().start_round();
    rig.take_append();
    std::optional<write_ticket> ticket;
    if (when == 0)
      ticket = rig.send(cancel(1));
    rig.finish_append();
    if (when == 1)
      ticket = rig.send(cancel(1));
    rig.finish_sync();
    if (when == 2)
      ticket = rig.send(cancel(1));
    expect_cancelled_for_good(rig, 1);
    rig.commit();
    EXPECT_FALSE(rig.answer(last)) << when;
    EXPECT_FALSE(rig.answer(*ticket)) << when;
    EXPECT_EQ(rig.status(1), segment_status::final) << when;
    rig.settle();
    EXPECT_EQ(rig.code(last), errc::cancelled) << when;
    EXPECT_EQ(rig.code(*ticket), errc::success) << when;
    EXPECT_EQ(rig.status(1), segment_status::cancelled) << when;
  }
}

TEST(WriteMachineCancelTest, FinalSegmentIsCancelled) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  const auto ticket = rig.send(cancel(1));
  rig.settle();
  EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  expect_cancelled_for_good(rig, 1);
}

TEST(WriteMachineCancelTest, UnknownKeyIsFenced) {
  write_rig rig;
  const auto ticket = rig.send(cancel(1));
  rig.settle();
  EXPECT_EQ(rig.code(ticket), errc::success);
  expect_cancelled_for_good(rig, 1);
}

TEST(WriteMachineCancelTest, DatabaseKeepsTheFenceWhenTheMemoryOfItIsGone) {
  write_machine_options options;
  options.cancel_grace = 1min;
  options.max_cancelled_keys = 2;
  write_rig rig(options);
  for (std::uint64_t version = 1; version <= 3; ++version)
    rig.send(cancel(version));
  rig.settle();
  EXPECT_EQ(rig.code(rig.send(start(3))), errc::cancelled);
  rig.send(start(1)); // pushed out of the memory
  const auto last = rig.send(final(1, 1));
  const auto whole = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::cancelled);
  EXPECT_EQ(rig.code(whole), errc::duplicate_segment);
  rig.pass(1min + 1s);
  rig.send(cancel(4));
  rig.settle();
  const auto late = rig.send(entire(3));
  const auto stray = rig.send(next(2, 1));
  rig.settle();
  EXPECT_EQ(rig.code(late), errc::cancelled);
  EXPECT_EQ(rig.code(stray), errc::cancelled);
}

TEST(WriteMachineCancelTest, CancelAgainSucceeds) {
  write_rig rig;
  rig.send(start(1));
  const auto first = rig.send(cancel(1));
  const auto second = rig.send(cancel(1));
  rig.settle();
  const auto third = rig.send(cancel(1));
  rig.settle();
  for (const auto& ticket : {first, second, third})
    EXPECT_EQ(rig.code(ticket), errc::success);
}

TEST(WriteMachineCancelTest, KeysCancelledBeforeTheStartStayCancelled) {
  write_machine_start begin;
  begin.cancelled = {sample_key(1)};
  write_rig rig({}, begin);
  expect_cancelled_for_good(rig, 1);
  const auto other = rig.send(entire(2));
  rig.settle();
  EXPECT_EQ(rig.code(other), errc::success);
}

TEST(WriteMachineCancelTest, GatewayStartCancelsItsEarlierSegmentsInMemoryAndDatabase) {
  write_rig rig;
  rig.send(start(1));
  rig.send(start(2));
  const auto waits = rig.send(entire(3));
  auto foreign = start(4);
  foreign.of.nodes.source = node_id{3};
  rig.send(foreign);
  auto later = start(5);
  later.of.segment.timestamp = timestamp_us{1'000'000};
  rig.send(later);
  rig.append();
  const auto ticket = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  EXPECT_EQ(rig.machine().active_segment_count(), 2U);
  for (const std::uint64_t version : {1, 2, 3})
    expect_cancelled_for_good(rig, version);
  EXPECT_FALSE(rig.answer(ticket));
  rig.settle();
  EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.answer(ticket)->count, 3);
  EXPECT_EQ(rig.code(waits), errc::cancelled);
  for (const std::uint64_t version : {1, 2, 3})
    EXPECT_EQ(rig.status(version), segment_status::cancelled);
  EXPECT_EQ(rig.status(4), segment_status::active);
  EXPECT_EQ(rig.status(5), segment_status::active);
}

TEST(WriteMachineCancelTest, GatewayStartAgainIsNotAnsweredBeforeTheFirstIsDurable) {
  write_rig rig;
  rig.send(start(1));
  const auto first = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  const auto again = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  EXPECT_FALSE(rig.answer(again));
  rig.settle();
  EXPECT_EQ(rig.answer(first)->count, 1);
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_EQ(rig.answer(again)->count, 0);
}

TEST(WriteMachineCancelTest, GatewayStartWithNothingToCancelIsAnsweredAtOnce) {
  write_rig rig;
  EXPECT_EQ(rig.code(rig.send(gateway_start_request{node_id{2}, timestamp_us{1}})), errc::success);
}

TEST(WriteMachineCancelTest, GatewayStartDuringARepeatLeavesTheStoredSegmentFinal) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(rig.send(start(1))), std::nullopt);
  rig.append();
  const auto ticket = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  rig.settle();
  EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::final);
  const auto again = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success) << "it is stored: cancelled would be a lie";
}

TEST(WriteMachineCancelTest, RepeatThatAGatewayStartOvertakesIsToldWhatIsStored) {
  for (const std::uint32_t variant : {0U, 1U}) {
    write_rig rig;
    rig.send(entire(1));
    rig.settle();
    const auto repeat = rig.send(entire(1, variant));
    const auto ticket = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
    rig.settle();
    EXPECT_EQ(rig.code(ticket), errc::success);
    EXPECT_EQ(rig.code(repeat), variant == 0 ? errc::success : errc::duplicate_segment);
    EXPECT_EQ(rig.status(1), segment_status::final);
  }
}

TEST(WriteMachineCancelTest, RepeatThatAGatewayStartOvertakesIsToldSoAfterAFailureToo) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  const auto repeat = rig.send(entire(1));
  rig.write_and_sync();
  rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  rig.machine().start_round();
  ASSERT_TRUE(rig.take_append());
  rig.fail(); // the cancel is written again
  rig.settle();
  EXPECT_EQ(rig.code(repeat), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::final);
}

TEST(WriteMachineCancelTest, IdleSegmentIsCancelled) {
  write_rig rig;
  rig.send(start(1));
  rig.send(start(2));
  rig.pass(50s);
  rig.send(next(2, 1));
  rig.settle();
  rig.pass(10s);
  EXPECT_EQ(rig.machine().active_segment_count(), 2U) << "not before its time";
  rig.pass(1ms);
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);
  expect_cancelled_for_good(rig, 1);
  const auto last = rig.send(final(2, 2));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineCancelTest, RepeatedStartKeepsASegmentFromIdling) {
  write_rig rig;
  rig.send(start(1));
  rig.pass(50s);
  rig.send(start(1));
  rig.pass(50s);
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);
}

TEST(WriteMachineCancelTest, SegmentIsNotIdleWhileItsMessageIsBeingDigested) {
  write_rig rig;
  rig.send(start(1));
  rig.send(unchecked(next(1, 1)));
  rig.pass(100s);
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);
  rig.settle();
  EXPECT_EQ(rig.code(rig.send(next(1, 1))), std::nullopt);
}

TEST(WriteMachineCancelTest, IdleRetryOfAFinalSegmentLeavesItFinal) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  rig.send(start(1)); // a repeat whose sender went away
  rig.settle();
  rig.pass(61s);
  rig.settle();
  EXPECT_EQ(rig.status(1), segment_status::final);
  const auto again = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success) << "`cancelled` would mean that it can never be seen";
}

TEST(WriteMachineCancelTest, GatewayStartOverARetryOfAFinalSegmentLeavesItFinal) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  rig.send(start(1));
  const auto begun = rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  rig.settle();
  EXPECT_EQ(rig.code(begun), errc::success);
  EXPECT_EQ(rig.answer(begun)->count, 1);
  EXPECT_EQ(rig.status(1), segment_status::final);
  const auto again = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
}

TEST(WriteMachineCancelTest, StopRefusesNewRequestsAndCancelsActiveSegments) {
  write_rig rig;
  rig.send(start(1));
  const auto waits = rig.send(entire(2));
  const auto digests = rig.send(unchecked(entire(3)));
  rig.machine().stop();
  const auto late = rig.send(entire(4));
  EXPECT_EQ(rig.code(late), errc::shutting_down);
  rig.machine().stop();
  EXPECT_FALSE(rig.machine().is_quiet());
  rig.settle();
  EXPECT_EQ(rig.code(digests), errc::shutting_down);
  EXPECT_EQ(rig.code(waits), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_TRUE(rig.machine().is_quiet());
}

} // namespace
} // namespace cairn
