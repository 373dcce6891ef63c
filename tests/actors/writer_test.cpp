#include "actors/digester.hpp"
#include "actors/writer.hpp"
#include "core/md5_lanes.hpp"
#include "tests/actors/actor_fixture.hpp"
#include "tests/support/write_rig.hpp"

#include <caf/send.hpp>

namespace cairn {
namespace {

using namespace std::chrono_literals;

class WriterTest : public actor_fixture {
protected:
  WriterTest() {
    writer_options options;
    options.vitals = vitals;
    options.machine.database_patience = 10s;
    writer = spawn(cairn::writer, std::move(options), write_machine_start{});
    auto neighbours = std::make_shared<writer_neighbours>();
    neighbours->value_file = spawn(value_file_stub, &inboxes);
    neighbours->node_db = spawn(node_db_stub, &inboxes);
    neighbours->sync_timer = spawn(sync_timer_stub, &inboxes);
    neighbours->digesters.push_back(spawn(digester_stub, &inboxes));
    caf::anon_send(writer, connect_writer{neighbours});
    run();
  }

  /// A client's reply actor submits.
  void submit_by(const reply_actor& from, std::uint64_t client_number, write_operation operation) {
    auto request = std::make_shared<write_request>();
    request->ticket = {client_number, ++last_request_};
    request->operation = std::move(operation);
    caf::send_as(caf::actor_cast<caf::actor>(from), writer, submit{std::move(request)});
    run();
  }
  void submit_one(write_operation operation) { submit_by(reply, 1, std::move(operation)); }

  template <class Message>
  void tell(Message message) {
    caf::anon_send(writer, std::move(message));
    run();
  }
  void tick() { tell(sync_tick{false}); }
  /// The value file wrote the last job.
  void written() {
    auto outcome = std::make_shared<append_outcome>();
    for (std::size_t i = 0; i < inboxes.appends.back()->records.size(); ++i)
      outcome->placements.push_back({log_sequence_number{next_lsn_++}, value_file_id{1}, 4'096, 128, 10, 0});
    tell(records_appended{std::move(outcome)});
  }
  void synced() { tell(log_synced{log_sequence_number{next_lsn_ - 1}}); }
  void committed() {
    auto outcome = std::make_shared<fold_result>();
    outcome->records.resize(inboxes.folds.back()->records.size());
    outcome->look_ups.resize(inboxes.folds.back()->look_ups.size());
    tell(round_committed{std::move(outcome)});
  }
  void whole_round() {
    tick();
    written();
    synced();
    committed();
  }
  std::vector<errc> codes(const reply_inbox& of) {
    std::vector<errc> out;
    for (const auto& answer : of.answers)
      out.push_back(answer.code);
    return out;
  }
  std::vector<errc> codes() { return codes(answers); }

  std::shared_ptr<node_vitals> vitals = std::make_shared<node_vitals>();
  neighbour_inboxes inboxes;
  reply_inbox answers;
  reply_actor reply = spawn(reply_stub, &answers);
  writer_actor writer;

private:
  std::uint64_t last_request_ = 0;
  std::uint64_t next_lsn_ = 1;
};

TEST_F(WriterTest, RepliesOnlyAfterCommit) {
  submit_one(entire(1));
  EXPECT_EQ(inboxes.rounds_due, 1);
  EXPECT_TRUE(inboxes.appends.empty()) << "the tick decides what is in the round";
  tick();
  ASSERT_EQ(inboxes.appends.size(), 1U);
  EXPECT_TRUE(inboxes.appends[0]->then_sync);
  written();
  ASSERT_EQ(inboxes.folds.size(), 1U) << "rows go while the sync is under way";
  EXPECT_EQ(inboxes.commits, 0);
  synced();
  EXPECT_EQ(inboxes.commits, 1);
  EXPECT_TRUE(answers.answers.empty());
  EXPECT_EQ(vitals->acknowledged_lsn, 0U);
  committed();
  ASSERT_EQ(codes(), std::vector{errc::success});
  EXPECT_EQ(answers.answers[0].proof.lsn, log_sequence_number{2});
  EXPECT_EQ(vitals->acknowledged_lsn, 2U);
  EXPECT_EQ(vitals->archives, 1U);
}

TEST_F(WriterTest, WaitsForTheClientsOfTheLastRoundForAPartOfItsTime) {
  const auto gather = [&] { return inboxes.due.back().gather; };
  for (int i = 1; i <= 4; ++i)
    submit_one(entire(i));
  EXPECT_EQ(gather(), 0ns) << "there was no round before";
  tick();
  written();
  pass(4ms); // the database's part
  synced();
  committed();
  submit_one(entire(5));
  EXPECT_EQ(inboxes.rounds_due, 2);
  EXPECT_EQ(gather(), 1ms);
  submit_one(entire(6));
  submit_one(entire(7));
  EXPECT_EQ(inboxes.rounds_due, 2);
  submit_one(entire(8));
  EXPECT_EQ(inboxes.rounds_due, 3) << "all are back";
  EXPECT_EQ(gather(), 0ns);
  whole_round();
  tick(); // the one that was to come at the latest
  EXPECT_EQ(inboxes.appends.size(), 2U) << "nothing is left for it";
  EXPECT_EQ(codes(), std::vector<errc>(8, errc::success));
}

TEST_F(WriterTest, LateTickBeginsNoRoundForAFewBesideTheDatabases) {
  submit_one(entire(1));
  tick();
  written();
  synced();
  ASSERT_EQ(inboxes.appends.size(), 1U);
  submit_one(entire(2));
  tick(); // one that was to come at the latest
  EXPECT_EQ(inboxes.appends.size(), 1U) << "a round for one";
  committed();
  EXPECT_EQ(inboxes.rounds_due, 2) << "it has its turn now";
}

TEST_F(WriterTest, NeverWaitsForLongForMore) {
  submit_one(entire(1));
  submit_one(entire(2));
  tick();
  written();
  pass(10s);
  synced();
  committed();
  submit_one(entire(3));
  EXPECT_EQ(inboxes.due.back().gather, 2ms);
}

TEST_F(WriterTest, AnswersAStartWhenItIsWritten) {
  submit_one(start(1));
  ASSERT_EQ(inboxes.appends.size(), 1U);
  EXPECT_FALSE(inboxes.appends[0]->then_sync);
  EXPECT_EQ(inboxes.rounds_due, 0);
  EXPECT_TRUE(answers.answers.empty());
  written();
  EXPECT_EQ(codes(), std::vector{errc::success});
  EXPECT_EQ(vitals->active_segments, 1);
}

TEST_F(WriterTest, TellsTheTimerOncePerRound) {
  submit_one(entire(1));
  submit_one(entire(2));
  EXPECT_EQ(inboxes.rounds_due, 1);
  tick();
  EXPECT_EQ(inboxes.appends.back()->records.size(), 4U);
  submit_one(entire(3));
  EXPECT_EQ(inboxes.rounds_due, 1) << "one is under way";
  written();
  synced();
  committed();
  EXPECT_EQ(inboxes.rounds_due, 2) << "the next follows at once";
}

/// An entire whose payload is still to be digested.
entire_request undigested(std::uint64_t version, std::size_t bytes) {
  auto request = unchecked(entire(version));
  request.sequence.data = sample_data(bytes);
  request.sequence.info = describe_data(request.sequence.data, 0);
  return request;
}
constexpr std::size_t large = small_payload_bytes + 1;

/// @returns a verdict on each job of a request
digest_verdicts verdicts_on(const digest_request& request, const result<data_checksums>& verdict) {
  auto verdicts = std::make_shared<std::vector<digest_verdict>>();
  for (const auto& job : *request.jobs)
    verdicts->push_back({job.number, verdict});
  return {request.digester, std::move(verdicts)};
}

TEST_F(WriterTest, HasLargePayloadsDigestedElsewhere) {
  submit_one(undigested(1, large));
  ASSERT_EQ(inboxes.digests.size(), 1U);
  EXPECT_EQ(inboxes.rounds_due, 0);
  tell(verdicts_on(inboxes.digests[0], cairn::fail(errc::md5_mismatch, "damaged")));
  EXPECT_EQ(codes(), std::vector{errc::md5_mismatch});
  submit_one(undigested(2, large));
  ASSERT_EQ(inboxes.digests.size(), 2U);
  tell(verdicts_on(inboxes.digests[1], data_checksums{17, {}}));
  whole_round();
  EXPECT_EQ(codes(), (std::vector{errc::md5_mismatch, errc::success}));
}

TEST_F(WriterTest, HandsABusyDigesterTogetherWhatCameMeanwhile) {
  constexpr std::size_t more = 20;
  for (std::uint64_t i = 1; i <= 1 + more; ++i)
    submit_one(undigested(i, large));
  ASSERT_EQ(inboxes.digests.size(), 1U) << "the one digester is at work";
  EXPECT_EQ(inboxes.digests[0].jobs->size(), 1U);
  tell(verdicts_on(inboxes.digests[0], data_checksums{17, {}}));
  ASSERT_EQ(inboxes.digests.size(), 2U);
  EXPECT_EQ(inboxes.digests[1].jobs->size(), md5_lane_count);
  tell(verdicts_on(inboxes.digests[1], data_checksums{17, {}}));
  ASSERT_EQ(inboxes.digests.size(), 3U);
  EXPECT_EQ(inboxes.digests[2].jobs->size(), more - md5_lane_count);
  tell(verdicts_on(inboxes.digests[2], data_checksums{17, {}}));
  whole_round();
  EXPECT_EQ(codes(), std::vector<errc>(1 + more, errc::success));
}

TEST_F(WriterTest, DigestsSmallPayloadsItselfWithoutWaitingForARound) {
  submit_one(entire(1));
  tick(); // a round is under way
  submit_one(undigested(2, small_payload_bytes));
  auto wrong = undigested(3, 10);
  wrong.sequence.info.md5[0] ^= 1U;
  submit_one(wrong);
  EXPECT_TRUE(inboxes.digests.empty());
  EXPECT_EQ(codes(), std::vector{errc::md5_mismatch});
  written();
  synced();
  committed();
  whole_round();
  EXPECT_EQ(codes(), (std::vector{errc::md5_mismatch, errc::success, errc::success}));
}

TEST_F(WriterTest, DigestsSmallPayloadsOfAllWaitingRequestsTogether) {
  constexpr std::uint64_t count = 2 * md5_lane_count + 3;
  for (std::uint64_t i = 1; i <= count; ++i) {
    auto request = std::make_shared<write_request>();
    request->ticket = {1, i};
    request->operation = undigested(i, 1000 + i);
    caf::send_as(caf::actor_cast<caf::actor>(reply), writer, submit{std::move(request)});
  }
  run();
  whole_round();
  EXPECT_EQ(codes(), std::vector<errc>(count, errc::success));
}

TEST_F(WriterTest, EndsWithSmallPayloadsStillToBeDigested) {
  submit_one(undigested(1, 10));
  auto done = ask<writing_stopped>(writer, stop_writing{});
  whole_round();
  EXPECT_EQ(codes(), std::vector{errc::success});
  EXPECT_TRUE(done->reply);
}

TEST_F(WriterTest, LookUpNeedsNoSync) {
  submit_one(next(1, 1));
  tick();
  EXPECT_TRUE(inboxes.appends.empty());
  ASSERT_EQ(inboxes.folds.size(), 1U);
  EXPECT_EQ(inboxes.commits, 1);
  committed();
  EXPECT_EQ(codes(), std::vector{errc::unknown_segment});
}

TEST_F(WriterTest, LogThatFailsFailsItsRoundAndTheDatabaseDropsIt) {
  submit_one(entire(1));
  tick();
  written();
  const auto why = std::make_shared<failure>(failure{errc::storage_error, "the disk failed"});
  tell(log_failed{log_sequence_number{}, std::make_shared<append_outcome>(), why});
  EXPECT_EQ(codes(), std::vector{errc::storage_error});
  EXPECT_EQ(inboxes.abandons, 1);
  EXPECT_EQ(inboxes.commits, 0);
  submit_one(entire(1));
  whole_round();
  EXPECT_EQ(codes(), (std::vector{errc::storage_error, errc::success}));
}

TEST_F(WriterTest, DatabaseThatIsSilentIsGivenUpAfterItsPatience) {
  submit_one(entire(1));
  submit_one(next(2, 1));
  tick();
  written();
  synced();
  pass(10s);
  tell(sync_tick{true});
  EXPECT_TRUE(answers.answers.empty());
  pass(1ms);
  tell(sync_tick{true});
  EXPECT_EQ(codes(), (std::vector{errc::database_unavailable, errc::database_unavailable}));
  committed();
  EXPECT_EQ(answers.answers.size(), 2U) << "one answer each";
}

TEST_F(WriterTest, ClientThatIsGoneGetsNothingAndTheOthersGetTheirs) {
  reply_inbox other_answers;
  const auto other = spawn(reply_stub, &other_answers);
  submit_one(entire(1));
  submit_by(other, 2, entire(2));
  tell(client_gone{1});
  whole_round();
  EXPECT_TRUE(answers.answers.empty());
  EXPECT_EQ(codes(other_answers), std::vector{errc::success});
  EXPECT_EQ(vitals->archives, 2U) << "what it sent is stored all the same";
}

TEST_F(WriterTest, StopIsAnsweredWhenAllElseIs) {
  submit_one(start(1));
  written();
  submit_one(entire(2));
  const auto stopped = ask<writing_stopped>(writer, stop_writing{});
  run();
  submit_one(entire(3));
  EXPECT_EQ(codes(), (std::vector{errc::success, errc::shutting_down}));
  EXPECT_EQ(vitals->active_segments, 0) << "cancelled";
  EXPECT_FALSE(stopped->reply);
  tick();
  written();
  synced();
  EXPECT_FALSE(stopped->reply);
  committed();
  EXPECT_TRUE(stopped->reply);
  EXPECT_EQ(codes().back(), errc::success);
  EXPECT_EQ(vitals->completions_waiting, 0);
}

TEST_F(WriterTest, WorksNothingOffBeforeItKnowsItsNeighbours) {
  writer_options options;
  options.vitals = vitals;
  const auto early = spawn(cairn::writer, std::move(options), write_machine_start{});
  auto request = std::make_shared<write_request>();
  request->ticket = {1, 99};
  request->operation = entire(1);
  caf::send_as(caf::actor_cast<caf::actor>(reply), early, submit{std::move(request)});
  run();
  EXPECT_EQ(inboxes.rounds_due, 0);
  auto neighbours = std::make_shared<writer_neighbours>();
  neighbours->sync_timer = spawn(sync_timer_stub, &inboxes);
  neighbours->digesters.push_back(spawn(digester_stub, &inboxes));
  caf::anon_send(early, connect_writer{neighbours});
  run();
  EXPECT_EQ(inboxes.rounds_due, 1);
}

} // namespace
} // namespace cairn
