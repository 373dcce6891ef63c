/// The transport between two actor systems over loopback: who gets in, what a bad peer costs, and how
/// connections come and go.

#include "tests/net/transport_fixture.hpp"
#include "tests/support/raw_peer.hpp"

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
