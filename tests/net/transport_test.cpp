/// The transport between two actor systems over loopback: who gets in, what a bad peer costs, and that a
/// node is never made to hold more than it wants.

#include "actors/interfaces.hpp"
#include "net/system_config.hpp"
#include "net/transport/transport.hpp"
#include "tests/harness/certificates.hpp"
#include "tests/harness/program.hpp"
#include "tests/support/raw_peer.hpp"
#include "tests/support/slow_reader.hpp"

#include <atomic>
#include <thread>

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace cairn {

namespace {

using harness::certificates;
using harness::raw_peer;
using namespace std::chrono_literals;

/// Answers at once, or keeps what it is sent until it is told to let go.
using keeper_actor = caf::typed_actor<caf::replies_to<archive_key_entire>::with<archive_reply>,
                                      caf::replies_to<list_keys>::with<list_reply>,
                                      caf::replies_to<sync_value_file>::with<archive_reply>>;

struct keeper_state {
  keeper_state() = default;
  std::vector<std::pair<caf::typed_response_promise<archive_reply>, archive_key_entire>> kept;
};

/// What the test sees of it while it runs.
struct keeper_board {
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> kept_bytes{0};
  std::atomic<std::uint64_t> listed{0};
};

keeper_actor::behavior_type keeper(keeper_actor::stateful_pointer<keeper_state> self,
                                   std::shared_ptr<keeper_board> board) {
  return {
    [=](archive_key_entire& m) -> caf::result<archive_reply> {
      auto promise = self->make_response_promise<archive_reply>();
      board->kept_bytes += m.data.size();
      ++board->received;
      self->state.kept.emplace_back(promise, std::move(m));
      return promise;
    },
    [=](list_keys& m) {
      ++board->listed;
      list_reply reply;
      reply.env = std::move(m.env);
      reply.keys.resize(static_cast<std::size_t>(m.limit), {std::string(1000, 'k'), {}, {}, 0});
      return reply;
    },
    [=](sync_value_file& m) {
      for (auto& [promise, message] : std::exchange(self->state.kept, {})) {
        archive_reply reply;
        reply.env = std::move(message.env);
        promise.deliver(std::move(reply));
      }
      archive_reply reply;
      reply.env = std::move(m.env);
      return reply;
    },
  };
}

/// One process's worth: actor system and transport.
struct side {
  explicit side(transport_options options) {
    auto made = transport::make(system, std::move(options));
    if (!made)
      throw harness::harness_error(made.error().message);
    wire = std::move(*made);
  }

  system_config config;
  caf::actor_system system{config};
  std::unique_ptr<transport> wire;
};

struct server_side : side {
  explicit server_side(transport_options options, const std::string& host = "127.0.0.1")
      : side(std::move(options)) {
    actor = system.spawn(keeper, board);
    const auto port =
      wire->listen({host, 0}, caf::actor_cast<caf::strong_actor_ptr>(actor), system.message_types(actor));
    if (!port)
      throw harness::harness_error(port.error().message);
    address = {host, *port};
  }
  ~server_side() { caf::anon_send_exit(actor, caf::exit_reason::user_shutdown); }

  std::shared_ptr<keeper_board> board = std::make_shared<keeper_board>();
  keeper_actor actor;
  host_port address;
};

result<keeper_actor> connect(side& from, const host_port& to, std::chrono::milliseconds limit = 5s) {
  auto peer = from.wire->connect(to, limit);
  if (!peer)
    return pass_failure(peer);
  return caf::actor_cast<keeper_actor>(std::move(peer->published));
}

/// One request, answered at once. @returns whether it was
bool serves(side& from, const keeper_actor& keeper) {
  caf::scoped_actor self(from.system);
  bool answered = false;
  self->request(keeper, 10s, sync_value_file{})
    .receive([&](const archive_reply&) { answered = true; }, [](const caf::error&) {});
  return answered;
}

/// The same, and nothing that is kept is let go.
bool lists(side& from, const keeper_actor& keeper) {
  caf::scoped_actor self(from.system);
  bool answered = false;
  self->request(keeper, 10s, list_keys{})
    .receive([&](const list_reply&) { answered = true; }, [](const caf::error&) {});
  return answered;
}

transport_options with_tls(const harness::certificate_files& files) {
  transport_options options;
  options.tls = {files.ca, files.certificate, files.key};
  return options;
}

/// Waits for what another thread brings about.
template <class Condition>
bool comes_true(const Condition& condition, std::chrono::milliseconds limit = 20s) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until)
      return false;
    std::this_thread::yield();
  }
  return true;
}

/// Sends one request from an actor of its own, and counts what comes of it.
template <class Reply, class Request>
void send_counted(side& from, const keeper_actor& keeper, Request request, std::atomic<int>& ended) {
  from.system.spawn(
    [](caf::event_based_actor* self, const keeper_actor& to, const Request& what, std::atomic<int>* count) {
      self->request(to, 60s, what)
        .then([=](const Reply&) { ++*count; }, [=](const caf::error&) { ++*count; });
    },
    keeper, std::move(request), &ended);
}

archive_key_entire of_size(std::size_t bytes) {
  archive_key_entire message;
  message.data = payload::uninitialized(bytes);
  return message;
}

TEST(TransportTest, CarriesRequestsOverPlainTcp) {
  server_side server({});
  side client({});
  const auto keeper = connect(client, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  EXPECT_TRUE(serves(client, *keeper));
}

TEST(TransportTest, CarriesRequestsOverIpv6AndByName) {
  server_side six({}, "::1");
  server_side named({}, "localhost");
  side client({});
  for (const auto* server : {&six, &named}) {
    const auto keeper = connect(client, server->address);
    ASSERT_TRUE(keeper) << to_string(server->address) << ": " << keeper.error().message;
    EXPECT_TRUE(serves(client, *keeper));
  }
}

TEST(TransportTest, SaysWhenThePortIsInUse) {
  server_side server({});
  side second({});
  const auto port =
    second.wire->listen(server.address, caf::actor_cast<caf::strong_actor_ptr>(server.actor), {});
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().code, errc::conflict);
}

TEST(TransportTest, CarriesRequestsOverTls) {
  certificates authority;
  server_side server(with_tls(authority.of("node-1")));
  side client(with_tls(authority.of("client")));
  const auto keeper = connect(client, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  std::atomic<int> answers{0};
  send_counted<archive_reply>(client, *keeper, of_size(3U << 20U), answers);
  EXPECT_TRUE(comes_true([&] { return serves(client, *keeper) && answers == 1; }));
  EXPECT_EQ(server.board->kept_bytes, 3U << 20U);
}

TEST(TransportTest, RefusesWhoeverDoesNotBelong) {
  certificates authority;
  certificates other_authority;
  auto options = with_tls(authority.of("node-1"));
  options.may_connect = [](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), "client") != names.end();
  };
  server_side server(options);
  side good(with_tls(authority.of("client")));

  auto foreign = with_tls(other_authority.of("client"));
  foreign.tls.ca = authority.of("client").ca; // it trusts the server, the server does not trust it
  auto elsewhere = with_tls(authority.of("client"));
  elsewhere.peer_name = "node-2";
  const std::vector<std::pair<const char*, transport_options>> bad{
    {"plain", {}},
    {"certificate of another authority", foreign},
    {"a name that may not connect", with_tls(authority.of("stranger"))},
    {"a server of another name", elsewhere},
  };
  for (const auto& [what, wrong] : bad) {
    side client(wrong);
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_FALSE(connect(client, server.address, 10s)) << what;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 9s) << what << ": it waited for the limit";
    const auto keeper = connect(good, server.address);
    ASSERT_TRUE(keeper) << what << ": " << keeper.error().message;
    EXPECT_TRUE(serves(good, *keeper)) << what;
  }
}

TEST(TransportTest, RefusesTlsToAPlainPort) {
  certificates authority;
  server_side server({});
  side client(with_tls(authority.of("client")));
  EXPECT_FALSE(connect(client, server.address));
}

TEST(TransportTest, RefusesFilesThatDoNotFit) {
  certificates authority;
  certificates other;
  const auto files = authority.of("node-1");
  system_config config;
  caf::actor_system system(config);
  const auto message_of = [&](tls_files tls) {
    transport_options options;
    options.tls = std::move(tls);
    const auto made = transport::make(system, options);
    return made ? std::string{} : made.error().message;
  };
  EXPECT_NE(message_of({files.ca, files.certificate, ""}).find("key is not given"), std::string::npos);
  EXPECT_NE(message_of({files.ca, "/nowhere.pem", files.key}).find("/nowhere.pem"), std::string::npos);
  EXPECT_NE(message_of({files.ca, files.certificate, other.of("node-1").key}).find("is not the key"),
            std::string::npos);
  EXPECT_NE(message_of({files.key, files.certificate, files.key}).find("no authority"), std::string::npos);
  const auto expired = authority.expired("old");
  EXPECT_NE(message_of({expired.ca, expired.certificate, expired.key}).find("has expired"),
            std::string::npos);
  ::chmod(files.key.c_str(), 0644);
  EXPECT_NE(message_of({files.ca, files.certificate, files.key}).find("chmod 600"), std::string::npos);
}

TEST(TransportTest, EndsConnectionsThatSpeakNoProtocol) {
  transport_options options;
  options.limits.handshake_limit = 300ms;
  options.limits.frame_limit = 300ms;
  options.limits.sweep_interval = 50ms;
  server_side server(options);
  raw_peer silent(server.address);
  raw_peer garbage(server.address);
  garbage.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  raw_peer giant(server.address);
  std::string header(32, '\0');
  header[0] = 1;                            // a client's handshake ...
  header.replace(4, 4, "\xFF\xFF\xFF\xFF"); // ... of 4 GiB
  giant.send(header);
  raw_peer half(server.address);
  half.send(std::string(20, '\1'));
  EXPECT_TRUE(garbage.is_ended_within(5s));
  EXPECT_TRUE(giant.is_ended_within(5s));
  EXPECT_TRUE(silent.is_ended_within(5s));
  EXPECT_TRUE(half.is_ended_within(5s));
  side client({});
  const auto keeper = connect(client, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  EXPECT_TRUE(serves(client, *keeper));
}

TEST(TransportTest, EndsTlsHandshakesThatDoNotEnd) {
  certificates authority;
  auto options = with_tls(authority.of("node-1"));
  options.limits.handshake_limit = 300ms;
  options.limits.sweep_interval = 50ms;
  server_side server(options);
  raw_peer silent(server.address);
  raw_peer garbage(server.address);
  garbage.send(std::string(1000, 'x'));
  EXPECT_TRUE(garbage.is_ended_within(5s));
  EXPECT_TRUE(silent.is_ended_within(5s));
  side client(with_tls(authority.of("client")));
  const auto keeper = connect(client, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
}

TEST(TransportTest, MakesRoomForANewcomerAmongTheSilent) {
  transport_options options;
  options.limits.max_connections = 20;
  options.limits.handshake_limit = 60s;
  server_side server(options);
  std::vector<std::unique_ptr<raw_peer>> silent;
  for (int i = 0; i < 20; ++i)
    silent.push_back(std::make_unique<raw_peer>(server.address));
  side client({});
  result<keeper_actor> keeper = fail(errc::busy, "");
  for (int i = 0; i < 20 && !keeper; ++i) // one may be refused while room is made
    keeper = connect(client, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  EXPECT_TRUE(serves(client, *keeper));
}

TEST(TransportTest, StopsReadingWhenAConnectionHoldsTooMuch) {
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

TEST(TransportTest, ReadsFromTheModestWhileTheGreedyFillTheTotal) {
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

TEST(TransportTest, UnfinishedFramesAreHeldWithinTheTotal) {
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

TEST(TransportTest, LargeFramesThatComeSlowlyGiveWayToThoseThatWait) {
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

TEST(TransportTest, LargeFramesThatComeSlowlyGoOnWhileThereIsRoom) {
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

TEST(TransportTest, RoomGoesToWhoeverHasWaitedLongest) {
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

TEST(TransportTest, ASlowReaderGetsAllAnswersThoughTheTransportEnds) {
  transport_options options;
  options.limits.max_unsent_bytes = 64U << 20U;
  server_side server(options);
  side other({});
  const auto keeper = connect(other, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  harness::forger forged(other.system);
  harness::slow_reader slow(server.address);
  list_keys question;
  question.limit = 8'000; // 8 MB an answer
  constexpr std::uint64_t answers = 3;
  constexpr std::uint64_t size_bytes = answers * 8'000 * 1'000;
  slow.send(forged.handshake());
  for (std::uint64_t i = 0; i < answers; ++i)
    slow.send(forged.request(server.actor.id(), question));
  ASSERT_TRUE(comes_true([&] { return server.board->listed == answers; }));
  ASSERT_TRUE(serves(other, *keeper)); // the last answer has left the actor
  std::uint64_t taken = 0;
  const auto before = server.wire->finish_sending(0ms);
  EXPECT_GT(before, 0U) << "the kernel alone has room for the answers: the test shows nothing";
  std::thread reader([&] { taken = slow.read_all(); });
  EXPECT_EQ(server.wire->finish_sending(60s), 0U);
  server.wire.reset();
  reader.join();
  EXPECT_GT(taken, size_bytes);
}

TEST(TransportTest, EndsThoughAnswersAreNotTaken) {
  transport_options options;
  options.limits.max_unsent_bytes = 64U << 20U;
  server_side server(options);
  side other({});
  const auto keeper = connect(other, server.address);
  ASSERT_TRUE(keeper) << keeper.error().message;
  harness::forger forged(other.system);
  harness::slow_reader silent(server.address);
  list_keys question;
  question.limit = 10'000;
  silent.send(forged.handshake());
  for (int i = 0; i < 3; ++i)
    silent.send(forged.request(server.actor.id(), question));
  ASSERT_TRUE(comes_true([&] { return server.board->listed == 3; }));
  ASSERT_TRUE(serves(other, *keeper));
  EXPECT_GT(server.wire->finish_sending(100ms), 0U);
  server.wire.reset();
}

TEST(TransportTest, AnswersAllThoughReadingPausesWhileAnswersAreUnsent) {
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

TEST(TransportTest, ReportsTheOtherSideDownWhenCut) {
  server_side server({});
  side client({});
  auto peer = client.wire->connect(server.address, 5s);
  ASSERT_TRUE(peer) << peer.error().message;
  caf::scoped_actor self(client.system);
  self->monitor(caf::actor_cast<caf::actor>(peer->published));
  client.wire->disconnect(peer->connection);
  bool down = false;
  self->receive([&](const caf::down_msg&) { down = true; }, caf::after(10s) >> [] {});
  EXPECT_TRUE(down);
  // And the way is free for another connection between the same two.
  const auto again = connect(client, server.address);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(serves(client, *again));
}

/// While CAF has the end of a connection still to work off, it takes the next one for superfluous.
TEST(TransportTest, ServesAgainAtOnceThoughTheCutConnectionIsNotWorkedOff) {
  server_side server({});
  side client({});
  for (int round = 0; round < 10; ++round) {
    const auto peer = client.wire->connect(server.address, 5s);
    ASSERT_TRUE(peer) << peer.error().message;
    const auto keeper = caf::actor_cast<keeper_actor>(peer->published);
    const auto received = server.board->received.load();
    constexpr int count = 6;
    for (int i = 0; i < count; ++i)
      caf::anon_send(keeper, of_size(3U << 20U));
    ASSERT_TRUE(comes_true([&] { return server.board->received > received; }));
    client.wire->disconnect(peer->connection);
    const auto again = connect(client, server.address);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(serves(client, *again)) << "round " << round;
    ASSERT_TRUE(comes_true([&] { return server.wire->connection_count() == 1; }));
    client.wire->disconnect(client.wire->connect(server.address, 5s)->connection);
    ASSERT_TRUE(comes_true([&] { return server.wire->connection_count() == 0; }));
  }
}

TEST(TransportTest, SecondConnectNamesTheConnectionThatCarries) {
  server_side server({});
  side client({});
  const auto first = client.wire->connect(server.address, 5s);
  const auto second = client.wire->connect(server.address, 5s);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->connection, second->connection);
  caf::scoped_actor self(client.system);
  self->monitor(caf::actor_cast<caf::actor>(second->published));
  client.wire->disconnect(second->connection);
  bool down = false;
  self->receive([&](const caf::down_msg&) { down = true; }, caf::after(10s) >> [] {});
  EXPECT_TRUE(down);
}

TEST(TransportTest, GateHoldsTheEndBackForThoseInside) {
  side client({});
  const auto gate = client.wire->gate();
  std::thread ending;
  {
    const auto inside = gate->enter();
    ASSERT_TRUE(inside);
    ending = std::thread([&] { client.wire.reset(); });
    while (gate->enter()) // until the transport wants to end
      std::this_thread::yield();
    EXPECT_EQ(inside->connection_count(), 0U); // freed memory, if it had not waited
  }
  ending.join();
  EXPECT_FALSE(gate->enter());
}

TEST(TransportTest, ServesAfterManyConnectionsCameAndWent) {
  server_side server({});
  for (int i = 0; i < 50; ++i) {
    side client({});
    const auto keeper = connect(client, server.address);
    ASSERT_TRUE(keeper) << i << ": " << keeper.error().message;
    EXPECT_TRUE(serves(client, *keeper));
  }
  EXPECT_TRUE(comes_true([&] { return server.wire->connection_count() == 0; }));
}

TEST(TransportTest, UsesReloadedCertificatesForNewConnections) {
  certificates authority;
  const auto files = authority.of("node-1");
  server_side server(with_tls(files));
  side before(with_tls(authority.of("client")));
  const auto old = connect(before, server.address);
  ASSERT_TRUE(old) << old.error().message;
  // The cluster moves to another authority.
  certificates next;
  const auto fresh = next.of("node-1");
  for (const auto& [from, to] :
       {std::pair(fresh.ca, files.ca), std::pair(fresh.certificate, files.certificate),
        std::pair(fresh.key, files.key)})
    harness::write_file(to, harness::read_file(from));
  ASSERT_TRUE(server.wire->reload_tls());
  side after(with_tls(next.of("client")));
  const auto renewed = connect(after, server.address);
  ASSERT_TRUE(renewed) << renewed.error().message;
  EXPECT_TRUE(serves(after, *renewed));
  EXPECT_TRUE(serves(before, *old)) << "a connection that is open goes on";
  // What does not load changes nothing.
  harness::write_file(files.certificate, "no certificate");
  EXPECT_FALSE(server.wire->reload_tls());
  EXPECT_TRUE(connect(after, server.address));
}

} // namespace

} // namespace cairn
