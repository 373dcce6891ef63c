/// What a peer may make a process hold, who gets room when it is short, and what becomes of answers at the
/// end.

#include "tests/net/transport_fixture.hpp"
#include "tests/support/raw_peer.hpp"
#include "tests/support/slow_reader.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace cairn {

namespace {

using harness::raw_peer;
using namespace std::chrono_literals;

TEST(TransportRoomTest, StopsReadingWhenAConnectionHoldsTooMuch) {
  transport_options options;
  options.limits.max_held_bytes = 4U << 20U;
  server_side server(options);
  side greedy({});
  const auto keeper = connect(greedy, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  constexpr int count = 64;
  std::atomic<int> answers{0};
  for (int i = 0; i < count; ++i)
    send_counted<archive_reply>(greedy, *keeper, of_size(1U << 20U), answers);
  ASSERT_TRUE(comes_true([&] { return server.board->kept_bytes >= 4U << 20U; }));
  // Somebody else is served all the while, and the node holds no more than it wants and one frame.
  side modest({});
  const auto other = connect(modest, server.address);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_LE(server.board->kept_bytes, (5U << 20U) + (1U << 17U));
  // Letting go lets more come, until all have come.
  ASSERT_TRUE(comes_true([&] { return serves(modest, *other) && answers == count; }));
  EXPECT_EQ(server.board->received, count);
}

TEST(TransportRoomTest, ReadsFromTheModestWhileTheGreedyFillTheTotal) {
  transport_options options;
  options.limits.max_total_held_bytes = 4U << 20U;
  options.limits.modest_bytes = 64U << 10U;
  server_side server(options);
  side greedy({});
  const auto keeper = connect(greedy, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  std::atomic<int> answers{0};
  for (int i = 0; i < 16; ++i)
    send_counted<archive_reply>(greedy, *keeper, of_size(1U << 20U), answers);
  ASSERT_TRUE(comes_true([&] { return server.board->kept_bytes >= 4U << 20U; }));
  side modest({});
  const auto other = connect(modest, server.address);
  ASSERT_TRUE(other) << other.error().message;
  ASSERT_TRUE(comes_true([&] { return serves(modest, *other) && answers == 16; }));
}

TEST(TransportRoomTest, UnfinishedFramesAreHeldWithinTheTotal) {
  constexpr std::uint64_t total = 4U << 20U;
  constexpr std::uint64_t frame = 2U << 20U;
  transport_options options;
  options.limits.max_total_held_bytes = total;
  options.limits.modest_bytes = 64U << 10U;
  options.limits.frame_grace = 60s;
  server_side server(options);
  side modest({});
  const auto keeper = connect(modest, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  harness::forger forged(modest.system);
  std::vector<raw_peer> greedy;
  for (int i = 0; i < 8; ++i) {
    auto& peer = greedy.emplace_back(server.address);
    peer.send(forged.handshake() + forged.header(caf::io::basp::message_type::direct_message, frame, 1, 1)
              + std::string(1000, 'x'));
  }
  ASSERT_TRUE(comes_true([&] { return server.wire->held_bytes() >= total; }));
  // One that keeps to the protocol waits for room, without keeping the modest from being served.
  side patient({});
  const auto same = connect(patient, server.address);
  ASSERT_TRUE(same) << same.error().message;
  std::atomic<int> answers{0};
  send_counted<archive_reply>(patient, *same, of_size(frame), answers);
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(serves(modest, *keeper));
  EXPECT_EQ(server.board->received, 0U);
  EXPECT_LE(server.wire->held_bytes(), total + frame + (64U << 10U)) << "one frame past the total, not eight";
  greedy.clear();
  EXPECT_TRUE(comes_true([&] { return serves(modest, *keeper) && answers == 1; }));
}

TEST(TransportRoomTest, LargeFramesThatComeSlowlyGiveWayToThoseThatWait) {
  transport_options options;
  options.limits.max_total_held_bytes = 4U << 20U;
  options.limits.modest_bytes = 64U << 10U;
  options.limits.frame_grace = 100ms;
  options.limits.sweep_interval = 20ms;
  server_side server(options);
  side patient({});
  const auto keeper = connect(patient, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  harness::forger forged(patient.system);
  constexpr std::uint64_t frame = 2U << 20U;
  std::vector<raw_peer> greedy;
  for (int i = 0; i < 3; ++i)
    greedy.emplace_back(server.address)
      .send(forged.handshake() + forged.header(caf::io::basp::message_type::direct_message, frame, 1, 1)
            + std::string(1, 'x'));
  ASSERT_TRUE(comes_true([&] { return server.wire->held_bytes() >= 2 * frame; }));
  std::atomic<int> answers{0};
  send_counted<archive_reply>(patient, *keeper, of_size(frame), answers);
  EXPECT_TRUE(comes_true([&] { return server.board->received == 1; })) << "before the frames' own limit";
  EXPECT_TRUE(comes_true([&] { return serves(patient, *keeper) && answers == 1; }));
}

TEST(TransportRoomTest, LargeFramesThatComeSlowlyGoOnWhileThereIsRoom) {
  transport_options options;
  options.limits.modest_bytes = 64U << 10U;
  options.limits.frame_grace = 1ms;
  options.limits.sweep_interval = 1ms;
  server_side server(options);
  side other({});
  const auto keeper = connect(other, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  harness::forger forged(other.system);
  raw_peer slow(server.address);
  const auto frame = forged.request(server.actor.id(), of_size(1U << 20U));
  ASSERT_TRUE(slow.send(forged.handshake() + frame.substr(0, 1'000)));
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(serves(other, *keeper));
  EXPECT_TRUE(slow.send(frame.substr(1'000)));
  EXPECT_TRUE(comes_true([&] { return server.board->received == 1; }));
}

TEST(TransportRoomTest, RoomGoesToWhoeverHasWaitedLongest) {
  transport_options options;
  options.limits.max_total_held_bytes = 64U << 10U;
  options.limits.modest_bytes = 64U << 10U;
  server_side server(options);
  side other({});
  const auto keeper = connect(other, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  harness::forger forged(other.system);
  // The older connection; and the first to greet, so CAF sends it the answers to all in the forger's name. It
  // must not overtake by either.
  raw_peer late(server.address);
  raw_peer early(server.address);
  raw_peer first(server.address);
  ASSERT_TRUE(late.send(forged.handshake()) && early.send(forged.handshake()));
  const auto size_of_first = 100'000U;
  const auto size_of_early = 120'000U;
  ASSERT_TRUE(first.send(forged.handshake() + forged.request(server.actor.id(), of_size(size_of_first))));
  ASSERT_TRUE(comes_true([&] { return server.board->received == 1; }));
  // The server reads what lies in its sockets in the order in which it came.
  ASSERT_TRUE(early.send(forged.request(server.actor.id(), of_size(size_of_early))));
  ASSERT_TRUE(lists(other, *keeper));
  ASSERT_TRUE(late.send(forged.request(server.actor.id(), of_size(140'000))));
  ASSERT_TRUE(lists(other, *keeper));
  ASSERT_EQ(server.board->received, 1U);
  ASSERT_TRUE(serves(other, *keeper)); // the first one's room is released
  ASSERT_TRUE(comes_true([&] { return server.board->received == 2; }));
  EXPECT_EQ(server.board->kept_bytes, size_of_first + size_of_early);
}

/// A peer has asked for more than the kernel has room for, and reads nothing by itself.
class EndOfTransportTest : public testing::Test {
protected:
  static transport_options options() {
    transport_options out;
    out.limits.max_unsent_bytes = 64U << 20U;
    return out;
  }
  /// Waits until all answers have left the actor. @returns how many bytes of keys they have
  std::uint64_t ask() {
    constexpr std::uint64_t answers = 3;
    list_keys question;
    question.limit = 8'000; // 8 MB an answer
    peer_.send(forged_.handshake());
    for (std::uint64_t i = 0; i < answers; ++i)
      peer_.send(forged_.request(server_.actor.id(), question));
    EXPECT_TRUE(comes_true([&] { return server_.board->listed == answers; }));
    const auto keeper = connect(other_, server_.address);
    EXPECT_TRUE(keeper && serves(other_, *keeper));
    return answers * 8'000 * 1'000;
  }

  server_side server_{options()};
  side other_{{}};
  harness::forger forged_{other_.system};
  harness::slow_reader peer_{server_.address};
};

TEST_F(EndOfTransportTest, ASlowReaderGetsAllAnswers) {
  const auto size_bytes = ask();
  const auto before = server_.wire->finish_sending(0ms);
  EXPECT_GT(before, 0U) << "the kernel alone has room for the answers: the test shows nothing";
  std::uint64_t taken = 0;
  std::thread reader([&] { taken = peer_.read_all(); });
  EXPECT_EQ(server_.wire->finish_sending(60s), 0U);
  server_.wire.reset();
  reader.join();
  EXPECT_GT(taken, size_bytes);
}

TEST_F(EndOfTransportTest, WaitsNoLongerThanItIsTold) {
  ask();
  EXPECT_GT(server_.wire->finish_sending(100ms), 0U);
  server_.wire.reset();
}

TEST(TransportRoomTest, AnswersAllThoughReadingPausesWhileAnswersAreUnsent) {
  transport_options options;
  options.limits.max_unsent_bytes = 1U << 20U;
  options.limits.stall_limit = 500ms;
  options.limits.sweep_interval = 50ms;
  server_side server(options);
  side client({});
  const auto keeper = connect(client, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  std::atomic<int> ended{0};
  for (int i = 0; i < 64; ++i) {
    list_keys question;
    question.limit = 2'000; // 2 MB an answer
    send_counted<list_reply>(client, *keeper, question, ended);
  }
  EXPECT_TRUE(comes_true([&] { return ended == 64; }));
}

} // namespace

} // namespace cairn
