#include "net/host.hpp"

#include "actors/node_host.hpp"
#include "net/endpoint.hpp"
#include "net/service_manager.hpp"
#include "net/signals.hpp"
#include "net/system_config.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

namespace cairn {

namespace {

/// From the first signal to the end, whatever is left undone.
constexpr std::chrono::seconds stop_limit{30};
/// For answers that clients are slow to take, of that.
constexpr std::chrono::seconds sending_limit{5};
/// Of it, for what comes after them.
constexpr std::chrono::seconds ending_reserve{1};
/// What a message has besides its sequence: metadata and names.
constexpr std::uint32_t message_overhead_bytes = 1U << 20U;

int failed(const std::string& why) {
  fmt::print(stderr, "cairnd: {}\n", why);
  return 1;
}

/// Each connection takes a descriptor; the usual limit is far below what the system allows.
void raise_descriptor_limit() {
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
    return;
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
}

/// What a node says when it gives up.
std::string text_of(const caf::error& reason, const caf::actor_system& system) {
  const auto& context = reason.context();
  return context.match_elements<std::string>() ? context.get_as<std::string>(0) : system.render(reason);
}

/// The cluster's nodes, as far as this process's nodes know them, the process itself, and who else was named.
peer_policy policy_of(const host_settings& settings, const std::shared_ptr<const peer_registry>& peers) {
  return [own = settings.node.node_name, named = settings.tls_peers,
          peers](const std::vector<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return name == own || peers->knows(name)
             || std::any_of(named.begin(), named.end(),
                            [&](const std::string& each) { return each == "*" || each == name; });
    });
  };
}

/// The life of one host, from spawn to the last actor's end.
class host {
public:
  host(transport& wire, const host_settings& settings, std::shared_ptr<spawn_gate> gate,
       std::shared_ptr<peer_registry> peers, signal_thread& signals)
      : wire_(wire), system_(wire.system()), settings_(settings), self_(system_) {
    signals.on_signal([me = caf::actor_cast<caf::actor>(self_.ptr())](int number) {
      caf::anon_send(me, signal_received{number});
    });
    node_host_options options;
    options.rules.cluster = settings.node.cluster_name;
    options.rules.defaults = settings.node;
    if (settings.allow_remote_spawn) {
      options.rules.root = settings.spawn_root;
      options.gate = std::move(gate);
    }
    if (has_node())
      options.configured = settings.node;
    options.value_file_disk = settings.value_file_disk;
    options.max_spawned = settings.max_spawned;
    options.peers = std::move(peers);
    host_ = self_->spawn<caf::monitored>(node_host, std::move(options));
  }

  int run() {
    const auto code = serve();
    // A client whose request was carried out should hear of it.
    const auto left = ending_since_ + stop_limit - ending_reserve - std::chrono::steady_clock::now();
    wire_.finish_sending(std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(left),
                                    std::chrono::milliseconds{0}, std::chrono::milliseconds{sending_limit}));
    return code;
  }

private:
  enum class event { none, failed, signalled };

  int serve() {
    const auto published = caf::actor_cast<host_actor>(host_);
    const auto port = publish_host(wire_, settings_.listen, published);
    if (!port) {
      stop();
      return failed(port.error().message);
    }
    tell_when_ready();
    const auto last_event = wait_for_end({settings_.listen.host, *port});
    ending_since_ = std::chrono::steady_clock::now();
    wire_.stop_listening();
    if (last_event == event::failed) {
      stop(); // spawned nodes, in order
      return failed(why_);
    }
    tell_service_manager("STOPPING=1");
    return stop() ? 0 : 1;
  }

  [[nodiscard]] bool has_node() const { return !settings_.node.data_directory.empty(); }

  /// Readiness as a message, so that a signal can end a start that takes long.
  void tell_when_ready() {
    system_.spawn(
      [](caf::event_based_actor* asker, const host_owner_actor& whom, const caf::actor& me) {
        asker->request(whom, caf::infinite, await_ready{})
          .then([=](const readiness& answer) { caf::anon_send(me, answer); },
                [=](const caf::error& error) {
                  readiness failed;
                  failed.result = errc::internal_error;
                  failed.error_message = text_of(error, asker->system());
                  caf::anon_send(me, failed);
                });
      },
      host_, caf::actor_cast<caf::actor>(self_.ptr()));
  }

  event wait_for_end(const host_port& listening) {
    auto last = event::none;
    const auto fail_with = [&](std::string why) {
      if (last == event::none)
        why_ = std::move(why);
      last = event::failed;
    };
    while (last == event::none)
      self_->receive(
        [&](const readiness& answer) {
          if (answer.result != errc::success) {
            fail_with(answer.error_message);
            return;
          }
          fmt::print("ready node={} listen={}\n", has_node() ? settings_.node.node_name : "-",
                     to_string(listening));
          std::fflush(stdout);
          tell_service_manager(fmt::format("READY=1\nSTATUS=ready, listening on {}", to_string(listening)));
        },
        [&](signal_received signal) {
          if (signal.number == SIGHUP) {
            reload_certificates();
            return;
          }
          spdlog::info("stopping signal={}", signal.number);
          last = event::signalled;
        },
        [&](const caf::down_msg& down) {
          is_down_ = true;
          fail_with(text_of(down.reason, system_));
        });
    return last;
  }

  void reload_certificates() {
    if (!wire_.has_tls())
      spdlog::info("nothing_to_reload what=\"TLS is off\"");
    else if (auto reloaded = wire_.reload_tls(); reloaded)
      spdlog::info("certificates_reloaded what=\"for connections from now on\"");
    else
      spdlog::error("certificates_not_reloaded reason=\"{}\" what=\"the old ones stay in use\"",
                    reloaded.error().message);
  }

  /// @returns true when nothing was lost
  bool stop() {
    bool clean = false;
    if (is_down_)
      return clean;
    self_->request(host_, stop_limit, stop_host{})
      .receive(
        [&](const node_stopped& stopped) { clean = stopped.lost == 0; },
        [&](const caf::error& error) { spdlog::warn("stop_failed reason=\"{}\"", system_.render(error)); });
    return clean;
  }

  transport& wire_;
  caf::actor_system& system_;
  const host_settings& settings_;
  caf::scoped_actor self_;
  host_owner_actor host_;
  std::string why_;
  std::chrono::steady_clock::time_point ending_since_ = std::chrono::steady_clock::now();
  bool is_down_ = false; ///< it has ended by itself, after it stopped all nodes
};

} // namespace

result<void> check(const host_settings& settings) {
  const auto wrong = [](const char* text) { return fail(errc::invalid_message, text); };
  if (settings.node.data_directory.empty() && !settings.allow_remote_spawn)
    return wrong(
      "there is nothing to run: give the node's directory with --data-dir, or let coordinators start "
      "nodes with --allow-remote-spawn and --spawn-root");
  if (settings.allow_remote_spawn && settings.spawn_root.empty())
    return wrong("--allow-remote-spawn needs --spawn-root: below it are the data of spawned nodes");
  if (!settings.allow_remote_spawn && !settings.spawn_root.empty())
    return wrong("--spawn-root says where spawned nodes may be, but --allow-remote-spawn is not given");
  return {};
}

int run_host(const host_settings& settings) {
  if (auto checked = check(settings); !checked)
    return failed(checked.error().message);
  if (!is_loopback(settings.listen.host) && settings.net.tls.empty() && !settings.insecure)
    return failed(
      fmt::format("{} is reachable from other machines and nothing protects the port: give --tls-ca, "
                  "--tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure",
                  to_string(settings.listen)));
  if (settings.allow_remote_spawn) {
    std::error_code error;
    std::filesystem::create_directories(settings.spawn_root, error);
    if (error)
      return failed(fmt::format("cannot make --spawn-root {}: {}", settings.spawn_root, error.message()));
  }
  raise_descriptor_limit();
  signal_thread signals(stop_limit);
  system_config config;
  auto gate = std::make_shared<spawn_gate>();
  if (settings.allow_remote_spawn)
    cairn::allow_remote_spawn(config, gate);
  caf::actor_system system(config);
  const auto peers = std::make_shared<peer_registry>();
  auto net = settings.net;
  net.may_connect = policy_of(settings, peers);
  net.limits.max_frame_bytes = settings.node.limits.max_sequence_bytes + message_overhead_bytes;
  net.limits.max_held_bytes = settings.node.limits.client_window_bytes + net.limits.max_frame_bytes;
  net.limits.max_total_held_bytes = settings.node.limits.total_window_bytes;
  auto wire = transport::make(system, std::move(net));
  if (!wire)
    return failed(wire.error().message);
  const auto code = host(**wire, settings, gate, peers, signals).run();
  wire->reset(); // connections end; the handles that they keep alive with them
  system.await_all_actors_done();
  return code;
}

} // namespace cairn
