/// What the node that Cairn takes the place of got wrong, one test each, and what stopped it when it was
/// tried. Here a whole node, stepped; predecessor_process_test.cpp has what takes real programs.

#include "core/digest.hpp"
#include "tests/actors/state_lab.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

class PredecessorTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    lab_ = std::make_unique<state_lab>();
  }
  static void TearDownTestSuite() { lab_.reset(); }
  static state_lab& lab() { return *lab_; }
  static stepped_node& node() { return lab_->node(); }

  template <class Message>
  archive_reply send(Message message) {
    return node().call<archive_reply>(std::move(message));
  }
  lab_object fresh() { return lab().new_object(false, {}); }
  lab_object active() {
    const auto object = fresh();
    lab().bring(object, "active", hold::filling);
    return object;
  }
  lab_object whole() { return lab().new_object(true, {}); }

  /// The message is refused, and nothing else changes: neither its key nor anybody else notices.
  template <class Message>
  void expect_error_reply(Message message, errc code, const lab_object& of, const std::string& state) {
    const auto writes = node().disk().count(disk_operation::write);
    const auto reply = send(std::move(message));
    EXPECT_EQ(reply.result, code) << to_string(reply.result) << ": " << reply.error_message;
    EXPECT_FALSE(reply.error_message.empty());
    EXPECT_EQ(node().disk().count(disk_operation::write), writes) << "something was stored";
    EXPECT_EQ(lab().state_of(of), state);
    EXPECT_EQ(send(entire_of(whole())).result, errc::success) << "others are served";
    EXPECT_EQ(node().call<status_reply>(get_status{}).actor_restarts, 0U);
  }
  int rows_of(const lab_object& object, const std::string& condition) {
    return std::stoi(node().database().query(fmt::format(
      "SELECT count(*) FROM cairn.segment WHERE unified_id = {} AND {}", object.version, condition)));
  }

private:
  static inline std::unique_ptr<state_lab> lab_;
};

// --- one bad message stopped the process ---

TEST_F(PredecessorTest, UnknownNodeNameIsAnErrorReply) {
  const auto object = fresh();
  auto start = start_of(object);
  start.nodes.source = "nobody";
  expect_error_reply(start, errc::unknown_node, object, "none");
  auto entire = entire_of(object);
  entire.nodes.handoff = "nobody";
  expect_error_reply(entire, errc::unknown_node, object, "none");
}

TEST_F(PredecessorTest, DuplicateStartAndEntireAreErrorReplies) {
  const auto object = active();
  expect_error_reply(start_of(object, 1), errc::duplicate_segment, object, "active");
  expect_error_reply(entire_of(object, 1), errc::duplicate_segment, object, "active");
}

TEST_F(PredecessorTest, NextAndFinalWithoutStartAreErrorReplies) {
  const auto object = fresh();
  expect_error_reply(next_of(object, 1), errc::unknown_segment, object, "none");
  expect_error_reply(final_of(object, 1), errc::unknown_segment, object, "none");
}

TEST_F(PredecessorTest, NextAndFinalAfterACancelAreErrorReplies) {
  const auto object = fresh();
  lab().bring(object, "cancelled", hold::filling);
  expect_error_reply(next_of(object, 2), errc::cancelled, object, "cancelled");
  expect_error_reply(final_of(object, 2), errc::cancelled, object, "cancelled");
}

TEST_F(PredecessorTest, NoDataAndEmptyDataAreErrorReplies) {
  const auto object = fresh();
  auto start = start_of(object);
  start.data = {};
  expect_error_reply(start, errc::size_mismatch, object, "none");
  start.sequence = describe_data({});
  expect_error_reply(start, errc::invalid_message, object, "none");
}

TEST_F(PredecessorTest, KeyThatTheDatabaseWouldRefuseIsAnErrorReply) {
  for (const auto& key :
       {std::string(1'025, 'k'), std::string("a\0b", 3), std::string("\xff"), std::string{}}) {
    const auto object = fresh();
    auto entire = entire_of(object);
    entire.segment.key = key;
    expect_error_reply(entire, errc::invalid_message, object, "none");
  }
}

TEST_F(PredecessorTest, MissingFieldsAreAnErrorReply) {
  const auto object = fresh();
  expect_error_reply(archive_key_entire{}, errc::invalid_message, object, "none");
  expect_error_reply(archive_key_start{}, errc::invalid_message, object, "none");
  expect_error_reply(archive_key_next{}, errc::invalid_message, object, "none");
  expect_error_reply(archive_key_final{}, errc::invalid_message, object, "none");
  expect_error_reply(archive_key_cancel{}, errc::invalid_message, object, "none");
  expect_error_reply(destroy_key{}, errc::invalid_message, object, "none");
  expect_error_reply(abort_conjoined_archive{}, errc::invalid_message, object, "none");
  expect_error_reply(gateway_start{}, errc::invalid_message, object, "none");
}

TEST_F(PredecessorTest, TimestampWithMicrosecondZeroIsStored) {
  const auto object = whole();
  auto entire = entire_of(object);
  entire.segment.timestamp = timestamp_us{1'700'000'000'000'000};
  ASSERT_EQ(send(entire).result, errc::success);
  const auto found = node().call<lookup_reply>(lookup{{}, collection_id{1}, object.key(), {}});
  EXPECT_EQ(found.timestamp, entire.segment.timestamp);
}

TEST_F(PredecessorTest, LargeAdler32IsStoredUnsigned) {
  const auto object = whole();
  auto entire = entire_of(object);
  entire.data = sample_data(59'000, 200); // bytes that sum up to an Adler-32 past 2^31
  entire.sequence = describe_data(entire.data);
  entire.file.adler32 = 0xffff'fff0U;
  ASSERT_GE(entire.sequence.adler32, 1U << 31U);
  ASSERT_EQ(send(entire).result, errc::success);
  EXPECT_EQ(node().call<lookup_reply>(lookup{{}, collection_id{1}, object.key(), {}}).file, entire.file);
  retrieve_start question;
  question.segment = object.segment_key();
  EXPECT_EQ(node().call<retrieve_reply>(question).sequence.info, entire.sequence);
}

TEST_F(PredecessorTest, GatewayStartFromAnUnknownNodeIsAnErrorReply) {
  const auto object = active();
  expect_error_reply(gateway_start{{}, unified_id{1}, timestamp_us{1'900'000'000'000'000}, "nobody"},
                     errc::unknown_node, object, "active");
}

TEST_F(PredecessorTest, AbortOfAConjoinedArchiveWithoutHandoffIsApplied) {
  auto part = entire_of(whole());
  part.segment.conjoined_part = 1;
  const auto step = [&](auto message) {
    message.collection = part.segment.collection;
    message.key = part.segment.key;
    message.version = part.segment.version;
    message.timestamp = part.segment.timestamp;
    return send(message).result;
  };
  const auto visible = [&] {
    return node().call<lookup_reply>(lookup{{}, collection_id{1}, part.segment.key, {}}).result
           == errc::success;
  };
  ASSERT_EQ(send(part).result, errc::success);
  ASSERT_EQ(step(finish_conjoined_archive{}), errc::success);
  ASSERT_TRUE(visible());
  EXPECT_EQ(step(abort_conjoined_archive{}), errc::success);
  EXPECT_FALSE(visible());
}

// --- what stopped it though no message was wrong ---

TEST_F(PredecessorTest, CancelWhileAFinalWaitsForItsSyncAnswersBoth) {
  for (const auto where : {hold::filling, hold::writing, hold::committing}) {
    const auto object = fresh();
    lab().bring(object, "finalizing", where);
    EXPECT_EQ(lab().observe(lab().send(archive_key_cancel{{}, object.segment_key()})).result, "success");
    EXPECT_EQ(lab().held_answer(), "cancelled");
    EXPECT_EQ(lab().state_of(object), "cancelled");
    EXPECT_EQ(send(entire_of(whole())).result, errc::success) << "others are served";
  }
}

TEST_F(PredecessorTest, TerminatedDatabaseSessionLosesNothing) {
  const auto object = active();
  node().database().kill_sessions();
  auto reply = node().send<archive_reply>(final_of(object, 2));
  node().run();
  for (int i = 0; i < 10 && !reply->reply; ++i)
    node().pass(1s); // it connects again after a while
  ASSERT_TRUE(reply->reply);
  EXPECT_EQ(reply->reply->result, errc::success) << reply->reply->error_message;
  EXPECT_EQ(lab().state_of(object), "final");
}

// --- what was silently wrong ---

TEST_F(PredecessorTest, GatewayStartIsNotUndoneByALateFinal) {
  const auto object = active();
  const auto begun =
    send(gateway_start{{}, unified_id{1}, timestamp_us{object.timestamp().value + 1}, sample_node});
  EXPECT_GE(begun.count, 1);
  EXPECT_EQ(rows_of(object, "status = 'C'"), 1);
  EXPECT_EQ(send(final_of(object, 2)).result, errc::cancelled);
  EXPECT_EQ(rows_of(object, "status = 'C'"), 1);
  EXPECT_EQ(rows_of(object, "status <> 'C'"), 0);
}

TEST_F(PredecessorTest, RepeatedEntireAfterTheFinalLeavesOneFinalRow) {
  const auto object = whole();
  ASSERT_EQ(send(entire_of(object)).result, errc::success);
  EXPECT_EQ(send(entire_of(object)).result, errc::success);
  EXPECT_EQ(rows_of(object, "status = 'F'"), 1);
  EXPECT_EQ(rows_of(object, "true"), 1);
}

TEST_F(PredecessorTest, WrongAdler32IsRefused) {
  const auto object = active();
  auto next = next_of(object, 2);
  next.sequence.adler32 ^= 1U << 31U;
  expect_error_reply(next, errc::adler32_mismatch, object, "active");
}

TEST_F(PredecessorTest, RepeatedAndSkippedSequenceNumbersAreRefused) {
  const auto object = active();
  expect_error_reply(next_of(object, 1, 1), errc::sequence_out_of_order, object, "active");
  expect_error_reply(next_of(object, 3), errc::sequence_out_of_order, object, "active");
  expect_error_reply(final_of(object, 3), errc::sequence_out_of_order, object, "active");
  EXPECT_EQ(send(final_of(object, 2)).result, errc::success);
}

TEST_F(PredecessorTest, ShortWriteFailsTheArchiveAndItsRepeatSucceeds) {
  const auto before = whole();
  ASSERT_EQ(send(entire_of(before)).result, errc::success);
  const auto object = whole();
  disk_fault runs_short{disk_operation::write};
  runs_short.written_bytes = 60;
  node().disk().inject(runs_short);
  EXPECT_EQ(send(entire_of(object)).result, errc::storage_error);
  EXPECT_EQ(node().disk().faults_left(), 0U);
  EXPECT_EQ(lab().state_of(object), "none");
  EXPECT_EQ(send(entire_of(object)).result, errc::success);
  EXPECT_EQ(lab().state_of(object), "final");
  EXPECT_EQ(lab().state_of(before), "final");
}

TEST_F(PredecessorTest, ZeroByteObjectIsStored) {
  const auto object = whole();
  auto entire = entire_of(object);
  entire.data = {};
  entire.sequence = describe_data(entire.data);
  entire.file = {};
  ASSERT_EQ(send(entire).result, errc::success);
  retrieve_start question;
  question.segment = object.segment_key();
  const auto back = node().call<retrieve_reply>(question);
  EXPECT_EQ(back.result, errc::success) << back.error_message;
  EXPECT_EQ(back.sequence_count, 1);
  EXPECT_TRUE(back.sequence.data.empty());
}

// --- what made it slow ---

TEST_F(PredecessorTest, ReplyWaitsForNoTimer) {
  EXPECT_EQ(send(entire_of(whole())).result, errc::success) << "no time has passed";
}

TEST_F(PredecessorTest, ArchivesThatWaitTogetherShareOneTransaction) {
  const auto transactions = [&] {
    return std::stoll(node().database().query("SELECT count(DISTINCT xmin::text) FROM cairn.segment"));
  };
  lab().bring(fresh(), "finalizing", hold::committing);
  const auto before = transactions();
  std::vector<pending_outcome<archive_reply>> replies;
  for (int i = 0; i < 50; ++i)
    replies.push_back(node().send<archive_reply>(entire_of(whole())));
  node().run();
  for (const auto& reply : replies)
    EXPECT_TRUE(reply->reply && reply->reply->result == errc::success);
  EXPECT_LE(transactions(), before + 2) << "the one that was under way, and one for all the others";
}

TEST_F(PredecessorTest, LookUpsByUnifiedIdUseAnIndex) {
  for (const std::string condition : {"status <> 'C'", "status = 'C'"}) {
    const auto plan = node().database().query(
      "SET enable_seqscan = off; EXPLAIN (FORMAT json) SELECT id FROM cairn.segment WHERE unified_id = 5 AND"
      " conjoined_part = 0 AND segment_num = 1 AND coalesce(handoff_node_id, 0) = 0 AND "
      + condition);
    EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << plan;
    EXPECT_NE(plan.find("unified_id = "), std::string::npos) << plan;
    EXPECT_NE(plan.find("Index Cond"), std::string::npos) << plan;
  }
}

} // namespace
} // namespace cairn
