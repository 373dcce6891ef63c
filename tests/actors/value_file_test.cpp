#include "actors/sync_timer.hpp"
#include "actors/value_file.hpp"
#include "tests/actors/actor_fixture.hpp"
#include "tests/support/log_bench.hpp"
#include "tests/support/log_records.hpp"

#include <caf/send.hpp>

namespace cairn {
namespace {

using namespace std::chrono_literals;
using names = std::vector<std::string>;

class ValueFileTest : public actor_fixture {
protected:
  ValueFileTest() {
    EXPECT_TRUE(bench.log->is_open() || bench.log->open());
    auto recovered = std::make_shared<recovered_store>();
    recovered->log = std::move(bench.log);
    value_file_options options;
    options.writer = spawn(writer_stub, &inbox);
    options.has_space = [this] { return has_space; };
    options.vitals = vitals;
    value_file = spawn(cairn::value_file, std::move(options), std::move(recovered));
    run();
  }

  void append(bool then_sync, std::uint64_t failures_seen = 0) {
    auto job = std::make_shared<append_job>();
    const auto number = ++last_version_;
    job->records.push_back(make_sequence(make_identity(static_cast<std::int64_t>(number), number), 0, 0));
    job->then_sync = then_sync;
    job->failures_seen = failures_seen;
    caf::anon_send(value_file, append_records{std::move(job)});
    run();
  }
  void fail(disk_operation operation, std::uint64_t times = 1) {
    disk_fault fault;
    fault.operation = operation;
    fault.times = times;
    bench.disk.inject(fault);
  }

  log_bench bench;
  std::shared_ptr<node_vitals> vitals = std::make_shared<node_vitals>();
  writer_inbox inbox;
  bool has_space = true;
  value_file_actor value_file;

private:
  std::uint64_t last_version_ = 0;
};

TEST_F(ValueFileTest, TellsWrittenThenDurable) {
  append(false);
  EXPECT_EQ(inbox.order, names{"appended"});
  append(true);
  EXPECT_EQ(inbox.order, (names{"appended", "appended", "synced"}));
  ASSERT_EQ(inbox.appended[0].outcome->placements.size(), 1U);
  EXPECT_EQ(inbox.synced[0].synced_lsn, inbox.appended[1].outcome->placements[0].lsn);
  EXPECT_EQ(vitals->value_file, 1);
  EXPECT_GT(vitals->value_file_bytes, inbox.appended[1].outcome->placements[0].record_offset);
}

TEST_F(ValueFileTest, FailureIsToldOnlyWhenItsFenceIsDurable) {
  append(true);
  fail(disk_operation::sync);
  fail(disk_operation::create, 2); // of the successor, whose header is the fence
  append(true);
  EXPECT_EQ(inbox.order, (names{"appended", "synced", "appended"})) << "neither success nor failure";
  pass(1s);
  EXPECT_TRUE(inbox.failed.empty());
  pass(1s);
  ASSERT_EQ(inbox.failed.size(), 1U);
  EXPECT_EQ(inbox.failed[0].synced_lsn, inbox.synced[0].synced_lsn) << "what was durable before holds";
  EXPECT_EQ(inbox.failed[0].why->code, errc::storage_error);
  ASSERT_EQ(inbox.failed[0].outcome->file_rows.size(), 1U);
  EXPECT_EQ(vitals->value_file, 4) << "an id that was tried is not used again";
  append(true, 1);
  EXPECT_EQ(inbox.order.back(), "synced") << "the node goes on";
  pass(1s);
  EXPECT_EQ(inbox.failed.size(), 1U) << "told once";
}

TEST_F(ValueFileTest, WriteThatFailsKeepsItsJobsPlacementsOut) {
  fail(disk_operation::write);
  append(true);
  EXPECT_EQ(inbox.order, names{"failed"});
  EXPECT_TRUE(inbox.failed[0].outcome->placements.empty());
}

TEST_F(ValueFileTest, JobMadeBeforeTheWriterHeardOfAFailureIsDropped) {
  fail(disk_operation::write);
  append(true);
  append(true); // its records may belong to what is void: the writer takes them back by itself
  EXPECT_EQ(inbox.order, names{"failed"});
  append(true, 1);
  EXPECT_EQ(inbox.order, (names{"failed", "appended", "synced"}));
}

TEST_F(ValueFileTest, TellsWhenSpaceRunsOutAndWhenItIsBack) {
  pass(1s);
  EXPECT_TRUE(inbox.space.empty()) << "only what changes is told";
  has_space = false;
  pass(1s);
  pass(1s);
  has_space = true;
  pass(1s);
  EXPECT_EQ(inbox.space, (std::vector{false, true}));
  EXPECT_TRUE(vitals->has_space);
}

TEST_F(ValueFileTest, ClosesOnceAndTellsTheRow) {
  append(false);
  const auto closed = ask<log_closed>(value_file, close_log{});
  const auto late = ask<log_closed>(value_file, close_log{});
  run();
  ASSERT_TRUE(closed->reply);
  ASSERT_TRUE(*closed->reply->outcome);
  ASSERT_TRUE((*closed->reply->outcome)->row);
  EXPECT_EQ((*closed->reply->outcome)->row->sequence_count, 1);
  EXPECT_TRUE(late->error) << "whoever asks later hears that it is gone";
}

class SyncTimerTest : public actor_fixture {
protected:
  writer_inbox inbox;
  sync_timer_actor timer = spawn(sync_timer, spawn(writer_stub, &inbox), std::chrono::milliseconds{1'000});
};

TEST_F(SyncTimerTest, DueRoundWaitsForNoInterval) {
  caf::anon_send(timer, round_due{std::chrono::nanoseconds{0}});
  run();
  EXPECT_EQ(inbox.ticks, std::vector{false});
}

TEST_F(SyncTimerTest, RoundThatMayWaitForMoreBeginsWhenItHasWaited) {
  caf::anon_send(timer, round_due{std::chrono::milliseconds{2}});
  run();
  EXPECT_TRUE(inbox.ticks.empty());
  pass(2ms);
  EXPECT_EQ(inbox.ticks, std::vector{false});
}

TEST_F(SyncTimerTest, TicksEachIntervalWhetherARoundIsDueOrNot) {
  run();
  pass(999ms);
  EXPECT_TRUE(inbox.ticks.empty());
  pass(1ms);
  EXPECT_EQ(inbox.ticks, std::vector{true});
  pass(1s);
  EXPECT_EQ(inbox.ticks, (std::vector{true, true}));
}

} // namespace
} // namespace cairn
