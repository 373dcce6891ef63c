#include "net/host.hpp"

#include "actors/storage_node.hpp"
#include "net/service_manager.hpp"
#include "net/signals.hpp"
#include "net/system_config.hpp"

#include <cstdio>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/all.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

/// From the first signal to the end, whatever is left undone.
constexpr std::chrono::seconds stop_limit{30};

int failed(const std::string& why) {
  fmt::print(stderr, "cairnd: {}\n", why);
  return 1;
}

/// What a node says when it gives up.
std::string text_of(const caf::error& reason, const caf::actor_system& system) {
  const auto& context = reason.context();
  return context.match_elements<std::string>() ? context.get_as<std::string>(0) : system.render(reason);
}

/// The life of one host, from spawn to the last actor's end.
class host {
public:
  host(caf::actor_system& system, const host_settings& settings, signal_thread& signals)
      : system_(system), settings_(settings), self_(system) {
    signals.on_signal([me = caf::actor_cast<caf::actor>(self_.ptr())](int number) {
      caf::anon_send(me, signal_received{number});
    });
    storage_node_options options;
    options.settings = settings.node;
    node_ = self_->spawn<caf::monitored>(storage_node, std::move(options));
  }

  int run() {
    auto port = system_.middleman().publish(caf::actor_cast<storage_node_actor>(node_), settings_.listen.port,
                                            settings_.listen.host.c_str(), true);
    if (!port) {
      stop();
      return failed(
        fmt::format("cannot listen on {}: the port is in use, or the address is not this machine's",
                    to_string(settings_.listen)));
    }
    tell_when_ready();
    const auto last_event = wait_for_end({settings_.listen.host, *port});
    system_.middleman().unpublish(caf::actor_cast<storage_node_actor>(node_), *port);
    if (last_event == event::failed)
      return failed(why_);
    tell_service_manager("STOPPING=1");
    return stop() ? 0 : 1;
  }

private:
  enum class event { none, failed, signalled };

  /// Readiness as a message, so that a signal can end a start that takes long.
  void tell_when_ready() {
    system_.spawn(
      [](caf::event_based_actor* asker, const node_owner_actor& node, const caf::actor& me) {
        asker->request(node, caf::infinite, await_ready{})
          .then([=](const readiness& answer) { caf::anon_send(me, answer); },
                [=](const caf::error& error) {
                  readiness failed;
                  failed.result = errc::internal_error;
                  failed.error_message = text_of(error, asker->system());
                  caf::anon_send(me, failed);
                });
      },
      node_, caf::actor_cast<caf::actor>(self_.ptr()));
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
          fmt::print("ready node={} listen={}\n", settings_.node.node_name, to_string(listening));
          std::fflush(stdout);
          tell_service_manager(fmt::format("READY=1\nSTATUS=ready, listening on {}", to_string(listening)));
        },
        [&](signal_received signal) {
          spdlog::info("stopping signal={}", signal.number);
          last = event::signalled;
        },
        [&](const caf::down_msg& down) { fail_with(text_of(down.reason, system_)); });
    return last;
  }

  /// @returns true when nothing was lost
  bool stop() {
    bool clean = false;
    self_->request(node_, stop_limit, stop_node{})
      .receive(
        [&](const node_stopped& stopped) { clean = stopped.lost == 0; },
        [&](const caf::error& error) { spdlog::warn("stop_failed reason=\"{}\"", system_.render(error)); });
    return clean;
  }

  caf::actor_system& system_;
  const host_settings& settings_;
  caf::scoped_actor self_;
  node_owner_actor node_;
  std::string why_;
};

} // namespace

int run_host(const host_settings& settings) {
  if (!is_loopback(settings.listen.host) && !settings.insecure)
    return failed(
      fmt::format("{} is reachable from other machines and nothing protects the port: listen on 127.0.0.1, "
                  "or say --insecure",
                  to_string(settings.listen)));
  signal_thread signals(stop_limit);
  system_config config;
  caf::actor_system system(config);
  const auto code = host(system, settings, signals).run();
  system.await_all_actors_done();
  return code;
}

} // namespace cairn
