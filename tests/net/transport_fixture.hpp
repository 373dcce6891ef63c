#pragma once
/// Two actor systems with a transport each, for tests of what goes between them over loopback.

#include "actors/interfaces.hpp"
#include "net/system_config.hpp"
#include "net/transport/transport.hpp"
#include "tests/harness/certificates.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

/// Answers at once, or keeps what it is sent until it is told to let go.
using keeper_actor = caf::typed_actor<caf::replies_to<archive_key_entire>::with<archive_reply>,
                                      caf::replies_to<list_keys>::with<list_reply>,
                                      caf::replies_to<sync_value_file>::with<archive_reply>>;

/// What the test sees of it while it runs.
struct keeper_board {
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> kept_bytes{0};
  std::atomic<std::uint64_t> listed{0};
};

/// One process's worth: actor system and transport.
struct side {
  /// @throws harness_error when there is no transport with these options
  explicit side(transport_options options);

  system_config config;
  caf::actor_system system{config};
  std::unique_ptr<transport> wire;
};

/// Publishes a keeper.
struct server_side : side {
  /// @throws harness_error when it cannot listen
  explicit server_side(transport_options options, const std::string& host = "127.0.0.1");
  ~server_side();

  std::shared_ptr<keeper_board> board = std::make_shared<keeper_board>();
  keeper_actor actor;
  host_port address;
};

result<keeper_actor> connect(side& from, const host_port& to,
                             std::chrono::milliseconds limit = std::chrono::seconds{5});
/// One request, answered at once. @returns whether it was
bool serves(side& from, const keeper_actor& keeper);
/// The same, and nothing that is kept is let go.
bool lists(side& from, const keeper_actor& keeper);
transport_options with_tls(const harness::certificate_files& files);
archive_key_entire of_size(std::size_t bytes);

/// Waits for what another thread brings about.
template <class Condition>
bool comes_true(const Condition& condition, std::chrono::milliseconds limit = std::chrono::seconds{20}) {
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
      self->request(to, std::chrono::seconds{60}, what)
        .then([=](const Reply&) { ++*count; }, [=](const caf::error&) { ++*count; });
    },
    keeper, std::move(request), &ended);
}

} // namespace cairn
