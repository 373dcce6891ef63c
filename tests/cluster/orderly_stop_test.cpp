/// What clients get of a host that is told to stop.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/support/raw_peer.hpp"
#include "tests/support/slow_reader.hpp"

#include <csignal>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

namespace cairn::harness {
namespace {

using namespace std::chrono_literals;

/// More than the kernel takes for a connection.
constexpr std::size_t object_bytes = std::size_t{12} << 20U;

class OrderlyStopTest : public testing::Test {
protected:
  /// Asks for an object that was stored before, and reads no more than that the answer has begun.
  void ask_for_the_object() {
    coordinator gateway(host_);
    const auto client = gateway.connect();
    const auto object = make_object(*client, "large", {object_bytes});
    ASSERT_EQ(archive(*client, object).result, errc::success);
    const auto node = gateway.ask<found_node>(gateway.host(), find_node{wire_version, {}}).node;
    forger forged(gateway.system());
    retrieve_start question;
    question.collection = object.segment.collection;
    question.key = "large";
    reader_.emplace(host_.direct_address());
    reader_->send(forged.handshake() + forged.request(node.id(), hello{})
                  + forged.request(node.id(), question));
    reader_->wait_until_there_are(32 * 1024);
  }

  host_process host_;
  std::optional<slow_reader> reader_;
};

TEST_F(OrderlyStopTest, ASlowReaderGetsTheAnswerThatIsUnderWay) {
  ask_for_the_object();
  ASSERT_EQ(::kill(host_.pid(), SIGTERM), 0);
  host_.wait_for_log("answers_still_going"); // the node itself has stopped
  std::uint64_t taken = 0;
  std::thread reading([&] { taken = reader_->read_all(); });
  EXPECT_EQ(host_.wait_for_end(), 0);
  reading.join();
  EXPECT_GT(taken, object_bytes);
}

TEST_F(OrderlyStopTest, OneThatNeverReadsHoldsItUpForSecondsOnly) {
  ask_for_the_object();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(host_.stop(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
  EXPECT_NE(host_.log().find("answers_not_taken connections=1"), std::string::npos) << host_.log();
}

} // namespace
} // namespace cairn::harness
