#include "net/transport/transport.hpp"

#include "net/transport/connection_table.hpp"
#include "net/transport/dial.hpp"
#include "net/transport/listener.hpp"

#include <csignal>
#include <future>
#include <thread>
#include <utility>

#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

std::string why_not(const caf::error& error, const caf::actor_system& system) {
  if (error == caf::sec::disconnect_during_handshake)
    return "it ended the connection: it is no Cairn node, it expects TLS, or it does not take this client";
  return system.render(error);
}

caf::timespan time_until(steady_time deadline) {
  return std::max<caf::timespan>(deadline - std::chrono::steady_clock::now(), caf::timespan{1});
}

} // namespace

result<std::unique_ptr<transport>> transport::make(caf::actor_system& system, transport_options options) {
  if (const auto before = std::signal(SIGPIPE, SIG_IGN); before != SIG_DFL)
    std::signal(SIGPIPE, before);
  std::shared_ptr<const tls_context> tls;
  if (!options.tls.empty()) {
    auto loaded = tls_context::load(options.tls);
    if (!loaded)
      return pass_failure(loaded);
    tls = std::move(*loaded);
  }
  return std::unique_ptr<transport>(new transport(system, std::move(options), std::move(tls)));
}

transport::transport(caf::actor_system& system, transport_options options,
                     std::shared_ptr<const tls_context> tls)
    : system_(system), options_(std::move(options)),
      table_(std::make_shared<connection_table>(system, options_.limits)), tls_(std::move(tls)) {}

transport::~transport() {
  gate_->close();
  stop_listening();
  std::promise<void> closed;
  table_->post([&](connection_table& table) {
    table.close_all("the transport ends");
    closed.set_value();
  });
  closed.get_future().wait();
}

result<std::uint16_t> transport::listen(const host_port& where, const caf::strong_actor_ptr& published,
                                        std::set<std::string> interface) {
  const std::lock_guard lock(mutex_);
  // CAF finds what a connection is for by a number; any will do, there is one published actor.
  constexpr std::uint16_t published_at = 1;
  auto take = [table = table_, published, published_at,
               interface = std::move(interface)](connected_socket socket) {
    caf::io::scribe_ptr made =
      caf::make_counted<connection>(table->loop(), std::move(socket), frame_role::server, table);
    caf::anon_send(table->broker(), caf::publish_atom::value, std::move(made), published_at, published,
                   interface);
  };
  auto opened = listener::open(where, tls_, options_.may_connect, table_, std::move(take));
  if (!opened)
    return pass_failure(opened);
  listener_ = std::move(*opened);
  return listener_->port();
}

void transport::stop_listening() {
  std::unique_ptr<listener> stopped;
  const std::lock_guard lock(mutex_);
  stopped.swap(listener_);
}

std::uint64_t transport::finish_sending(std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds look_interval{10};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  table_->post([](connection_table& table) { table.stop_reading(); });
  await_broker(system_.node(), deadline); // which hands answers to the connections
  bool was_told = false;
  for (;;) {
    std::promise<connection_table::untaken> looked;
    table_->post([&](connection_table& table) { looked.set_value(table.count_untaken()); });
    const auto left = looked.get_future().get();
    if (left.bytes == 0)
      return 0;
    if (std::chrono::steady_clock::now() >= deadline) {
      spdlog::warn("answers_not_taken connections={} bytes={} waited_ms={}", left.connections, left.bytes,
                   limit.count());
      return left.bytes;
    }
    if (!std::exchange(was_told, true))
      spdlog::info("answers_still_going connections={} bytes={}", left.connections, left.bytes);
    std::this_thread::sleep_for(look_interval); // lint: allow: the kernel does not tell when all is taken
  }
}

result<remote_peer> transport::connect(const host_port& where, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto peer = connect_once(where, deadline);
    if (!peer)
      return peer;
    const auto node = peer->published->node();
    *peer = settled(std::move(*peer));
    if (peer->published && peer->connection != 0)
      return peer;
    // CAF took it for a second one beside a connection whose end it had not worked off, and ended it.
    if (std::chrono::steady_clock::now() >= deadline)
      return fail(errc::timed_out, "its connections end as soon as they are made");
    await_broker(node, deadline);
  }
}

result<remote_peer> transport::connect_once(const host_port& where, steady_time deadline) {
  std::shared_ptr<const tls_context> tls;
  {
    const std::lock_guard lock(mutex_);
    tls = tls_;
  }
  auto socket = dial(where, tls.get(), options_.peer_name, deadline);
  if (!socket)
    return pass_failure(socket);
  auto made = caf::make_counted<connection>(table_->loop(), std::move(*socket), frame_role::client, table_);
  const auto id = made->id();
  result<remote_peer> out = fail(errc::internal_error, "no answer");
  caf::scoped_actor self(system_);
  self
    ->request(table_->broker(), time_until(deadline), caf::connect_atom::value,
              caf::io::scribe_ptr(std::move(made)), where.port)
    .receive(
      [&](const caf::node_id&, caf::strong_actor_ptr& published, std::set<std::string>& interface) {
        out = published ? result<remote_peer>(remote_peer{std::move(published), std::move(interface), id})
                        : fail(errc::version_mismatch, "something else listens there");
      },
      [&](const caf::error& error) {
        out = error == caf::sec::request_timeout ? fail(errc::timed_out, "it does not answer in time")
                                                 : fail(errc::version_mismatch, why_not(error, system_));
      });
  if (!out)
    disconnect(id);
  return out;
}

/// The end of a connection is a message to CAF's broker, and so is what an actor sends elsewhere: when it
/// answers, it has seen those that came before.
void transport::await_broker(const caf::node_id& node, steady_time deadline) {
  caf::scoped_actor self(system_);
  self->request(table_->broker(), time_until(deadline), caf::get_atom::value, node)
    .receive([](const caf::node_id&, const std::string&, std::uint16_t) {}, [](const caf::error&) {});
}

/// @returns the peer by the connection that carries, or 0, and by a handle that stays good while it does
remote_peer transport::settled(remote_peer peer) const {
  std::promise<void> looked;
  table_->post([&](connection_table& table) {
    table.find_handle(peer.published->node(), peer.published->id(), [&](caf::strong_actor_ptr found) {
      peer.connection = table.connection_to(peer.published->node());
      peer.published = std::move(found);
      looked.set_value();
    });
  });
  looked.get_future().wait();
  return peer;
}

void transport::disconnect(std::uint64_t connection) {
  table_->post([connection](connection_table& table) { table.close(connection, "this side ends it"); });
}

result<void> transport::reload_tls() {
  auto loaded = tls_context::load(options_.tls);
  if (!loaded)
    return pass_failure(loaded);
  const std::lock_guard lock(mutex_);
  tls_ = std::move(*loaded);
  if (listener_)
    listener_->use_tls(tls_);
  return {};
}

std::size_t transport::connection_count() const { return table_->open_count(); }

std::uint64_t transport::held_bytes() const { return table_->totals()->held_bytes(); }

} // namespace cairn
