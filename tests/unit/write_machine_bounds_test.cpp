// What the write machine holds is bounded, however long the database or the disk keeps it waiting and
// whatever clients leave behind.

#include "tests/support/write_rig.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

write_machine_options small_options() {
  write_machine_options options;
  options.max_overdue_bytes = 64U << 10U;
  options.max_active_segments = 100;
  options.max_idle_cancels = 40;
  options.max_sequences = 3;
  return options;
}

/// Sends archives until one is refused, as clients do whose windows were given back.
std::optional<write_answer> send_until_refused(write_rig& rig) {
  for (int i = 0; i < 2'000; ++i) {
    const auto ticket = rig.send_archives(1).front();
    if (auto refused = rig.answer(ticket))
      return refused;
  }
  return std::nullopt;
}

TEST(WriteMachineBoundsTest, DatabaseThatIsAwayIsWaitedForByNoMoreThanTheBound) {
  write_rig rig(small_options());
  const auto waits = rig.send(entire(1));
  rig.write_and_sync();
  rig.pass(10s + 1ms);
  EXPECT_EQ(rig.code(waits), errc::database_unavailable);
  const auto refused = send_until_refused(rig);
  ASSERT_TRUE(refused) << "it goes on without bound";
  EXPECT_EQ(refused->code, errc::database_unavailable);
  EXPECT_LT(rig.machine().held_bytes(), (64U << 10U) + 4096U);

  const auto held = rig.machine().held_bytes();
  conjoined_request conjoined;
  std::vector<write_ticket> more{rig.send(start(2)),
                                 rig.send(destroy(3)),
                                 rig.send(cancel(4)),
                                 rig.send(conjoined),
                                 rig.send(sync_request{}),
                                 rig.send(purge_request{{sample_key(5)}}),
                                 rig.send(configure_request{node_record{node_id{1}, "n", "h", 1}})};
  for (const auto& ticket : more)
    EXPECT_EQ(rig.code(ticket), errc::database_unavailable);
  EXPECT_EQ(rig.machine().held_bytes(), held);
  EXPECT_FALSE(rig.code(rig.send(entire(1)))) << "a repeat of what waits stores nothing, and waits with it";
}

TEST(WriteMachineBoundsTest, SegmentThatIsKnownMayBeCancelledWhileTheDatabaseIsAway) {
  write_rig rig(small_options());
  rig.send(start(1));
  rig.send(entire(2));
  rig.write_and_sync();
  rig.pass(10s + 1ms);
  ASSERT_TRUE(send_until_refused(rig));
  const auto active = rig.send(cancel(1)), waiting = rig.send(cancel(2));
  EXPECT_FALSE(rig.code(active));
  EXPECT_FALSE(rig.code(waiting));
  rig.settle();
  EXPECT_EQ(rig.code(active), errc::success);
  EXPECT_EQ(rig.code(waiting), errc::success);
}

TEST(WriteMachineBoundsTest, ArchivesResumeByThemselvesWhenTheDatabaseIsBack) {
  write_rig rig(small_options());
  rig.send(entire(1));
  rig.write_and_sync();
  rig.pass(10s + 1ms);
  ASSERT_TRUE(send_until_refused(rig));
  rig.settle();
  EXPECT_EQ(rig.machine().held_bytes(), 0U);
  const auto resumed = rig.send(entire(2));
  rig.settle();
  EXPECT_EQ(rig.code(resumed), errc::success);
}

TEST(WriteMachineBoundsTest, StartsAreBoundedThoughNobodyWaitsForTheirRound) {
  write_rig rig(small_options());
  rig.send(start(1));
  rig.write_and_sync();
  rig.pass(1ms); // sees the round
  rig.pass(10s + 1ms);
  std::optional<errc> code;
  for (std::int32_t number = 1; number <= 2 && code != errc::database_unavailable; ++number)
    for (std::uint64_t version = 2; version < 90 && code != errc::database_unavailable; ++version) {
      auto request = start(version);
      request.of.segment.key.assign(1000, 'k');
      const auto ticket = number == 1 ? rig.send(std::move(request)) : rig.send(next(version, 1));
      rig.append();
      code = rig.code(ticket);
    }
  EXPECT_EQ(code, errc::database_unavailable);
}

TEST(WriteMachineBoundsTest, DiskThatTakesNothingIsWaitedForByNoMorePayloadThanTheBound) {
  write_rig rig(small_options());
  auto big = entire(1);
  big.sequence.data = payload::uninitialized(64U << 10U);
  const auto waits = rig.send(std::move(big));
  rig.machine().start_round();
  ASSERT_TRUE(rig.take_append());
  const auto early = rig.send(entire(2));
  EXPECT_FALSE(rig.code(early)) << "within the patience clients' windows bound it";
  rig.pass(10s + 1ms);
  EXPECT_EQ(rig.code(waits), errc::timed_out);
  const auto refused = rig.send(entire(3));
  ASSERT_EQ(rig.code(refused), errc::timed_out);
  EXPECT_NE(rig.answer(refused)->message.find("disk"), std::string::npos);
  rig.settle();
  EXPECT_EQ(rig.machine().held_bytes(), 0U);
  EXPECT_EQ(rig.status(1), segment_status::final);
}

TEST(WriteMachineBoundsTest, RecordsThatAFailureMadeVoidAreHeldNoLonger) {
  for (const auto append_was_made : {false, true}) {
    write_rig rig;
    rig.send(start(1));
    rig.append();
    rig.send(entire(2));
    rig.machine().start_round();
    ASSERT_TRUE(append_was_made ? rig.append() : rig.take_append());
    rig.fail();
    rig.settle();
    EXPECT_EQ(rig.machine().held_bytes(), 0U) << append_was_made;
  }
}

TEST(WriteMachineBoundsTest, WaitsForASlowDiskDoNotBlameTheDatabase) {
  write_rig rig;
  const auto waits = rig.send(entire(1));
  rig.machine().start_round();
  ASSERT_TRUE(rig.append());
  ASSERT_TRUE(rig.sync_is_outstanding());
  rig.pass(10s + 1ms);
  ASSERT_EQ(rig.code(waits), errc::timed_out) << "unknown: it is synced yet";
  EXPECT_NE(rig.answer(waits)->message.find("disk"), std::string::npos);
  rig.finish_sync();
  rig.settle();
  EXPECT_EQ(rig.status(1), segment_status::final);
}

TEST(WriteMachineBoundsTest, StartPastTheMostActiveSegmentsIsBusyUntilOneEnds) {
  write_rig rig(small_options());
  for (std::uint64_t version = 1; version <= 100; ++version)
    rig.send(start(version));
  EXPECT_EQ(rig.code(rig.send(start(101))), errc::busy);
  const auto repeat = rig.send(start(1));
  const auto whole = rig.send(entire(102));
  const auto ended = rig.send(final(1, 1));
  const auto late = rig.send(start(101));
  rig.settle();
  for (const auto& ticket : {repeat, whole, ended, late})
    EXPECT_EQ(rig.code(ticket), errc::success);
}

TEST(WriteMachineBoundsTest, SegmentsLeftBehindAreCancelledSomeAtATick) {
  write_rig rig(small_options());
  for (std::uint64_t version = 1; version <= 100; ++version)
    rig.send(start(version));
  rig.settle();
  rig.pass(61s);
  EXPECT_EQ(rig.machine().active_segment_count(), 60U);
  rig.pass(1s);
  EXPECT_EQ(rig.machine().active_segment_count(), 20U);
  rig.pass(1s);
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  rig.settle();
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineBoundsTest, SequencePastTheMostIsRefusedAndTheSegmentGoesOn) {
  write_rig rig(small_options());
  rig.send(start(1));
  rig.send(next(1, 1));
  rig.send(next(1, 2));
  const auto past = rig.send(next(1, 3));
  const auto repeat = rig.send(next(1, 2));
  rig.settle();
  EXPECT_EQ(rig.code(past), errc::invalid_message);
  EXPECT_EQ(rig.code(repeat), errc::success);
  EXPECT_EQ(rig.machine().active_segment_count(), 1U);
}

} // namespace
} // namespace cairn
