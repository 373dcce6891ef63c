#include "actors/spawned_node.hpp"

#include "actors/faults.hpp"
#include "core/version.hpp"

#include <caf/actor_factory.hpp>

namespace cairn {

void spawn_gate::open(host_owner_actor host) {
  const std::lock_guard lock(mutex_);
  std::swap(host_, host); // the old one is let go of when the lock is free again
}

void spawn_gate::close() { open(host_owner_actor{}); }

host_owner_actor spawn_gate::host() const {
  const std::lock_guard lock(mutex_);
  return host_;
}

namespace {

using self_pointer = control_actor::stateful_pointer<spawned_node_state>;

constexpr auto unstarted_text = "this node is not started: send start_node first";

/// Hands a message on to the node; its answer goes straight to who sent it.
template <class Reply, class Message>
caf::result<Reply> pass(self_pointer self, Message& message) {
  if (self->state.node)
    return self->delegate(self->state.node, std::move(message));
  Reply refused;
  if constexpr (requires { message.env; })
    refused.env = std::move(message.env);
  refused.result = errc::busy;
  refused.error_message = unstarted_text;
  return refused;
}

caf::result<status_reply> status(self_pointer self, get_status& message) {
  if (self->state.node)
    return self->delegate(self->state.node, std::move(message));
  status_reply reply;
  reply.env = std::move(message.env);
  reply.waits_for = "its coordinator's start_node";
  reply.program_version = program_version;
  return reply;
}

caf::result<heartbeat> beat(self_pointer self, const heartbeat& message) {
  if (self->state.node)
    return self->delegate(self->state.node, message);
  return message;
}

void expect_start(self_pointer self) {
  self->delayed_send(self, self->state.options.start_limit, unstarted_tick{++self->state.start});
}

/// Answers a start, once.
void deliver(spawned_node_state& state, std::uint64_t number, node_started answer) {
  if (auto found = state.starting.extract(number); !found.empty())
    found.mapped().deliver(std::move(answer));
}

node_started host_is_gone() {
  node_started refused;
  refused.result = errc::shutting_down;
  refused.error_message = "the host, or this actor, has ended";
  return refused;
}

caf::result<node_started> start(self_pointer self, start_node& message) {
  auto& state = self->state;
  auto coordinator = self->current_sender(); // the promise takes it
  auto promise = self->make_response_promise<node_started>();
  const auto number = ++state.start;
  state.starting.emplace(number, promise);
  // The host answers when the node is ready, however long recovery takes; its own end is noticed.
  self->request(state.host, caf::infinite, host_node{std::move(message), std::move(coordinator)})
    .then(
      [=](node_hosted& hosted) {
        auto& s = self->state;
        if (hosted.node)
          s.node = hosted.node;
        deliver(s, number, std::move(hosted.answer));
        if (!s.node && s.starting.empty())
          expect_start(self);
      },
      [=](const caf::error&) { deliver(self->state, number, host_is_gone()); });
  return promise;
}

} // namespace

spawned_node_state::~spawned_node_state() {
  while (!starting.empty())
    deliver(*this, starting.begin()->first, host_is_gone());
}

control_actor::behavior_type spawned_node(self_pointer self, host_owner_actor host,
                                          spawned_node_options options) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = options;
  state.host = std::move(host);
  self->set_default_handler(caf::drop);
  if (state.host) {
    self->set_down_handler([=](const caf::down_msg& down) { self->quit(down.reason); });
    self->monitor(state.host);
    self->send(state.host, control_made{self});
    expect_start(self);
  } else {
    self->quit();
  }
  return {
    [=](hello& m) { return pass<hello_reply>(self, m); },
    [=](archive_key_entire& m) { return pass<archive_reply>(self, m); },
    [=](archive_key_start& m) { return pass<archive_reply>(self, m); },
    [=](archive_key_next& m) { return pass<archive_reply>(self, m); },
    [=](archive_key_final& m) { return pass<archive_reply>(self, m); },
    [=](archive_key_cancel& m) { return pass<archive_reply>(self, m); },
    [=](destroy_key& m) { return pass<archive_reply>(self, m); },
    [=](start_conjoined_archive& m) { return pass<archive_reply>(self, m); },
    [=](abort_conjoined_archive& m) { return pass<archive_reply>(self, m); },
    [=](finish_conjoined_archive& m) { return pass<archive_reply>(self, m); },
    [=](gateway_start& m) { return pass<archive_reply>(self, m); },
    [=](purge& m) { return pass<archive_reply>(self, m); },
    [=](add_node& m) { return pass<archive_reply>(self, m); },
    [=](sync_value_file& m) { return pass<archive_reply>(self, m); },
    [=](list_versions& m) { return pass<list_reply>(self, m); },
    [=](list_handoffs& m) { return pass<handoff_reply>(self, m); },
    [=](list_nodes& m) { return pass<nodes_reply>(self, m); },
    [=](retrieve_start& m) { return pass<retrieve_reply>(self, m); },
    [=](retrieve_next& m) { return pass<retrieve_reply>(self, m); },
    [=](lookup& m) { return pass<lookup_reply>(self, m); },
    [=](list_keys& m) { return pass<list_reply>(self, m); },
    [=](get_status& m) { return status(self, m); },
    [=](const heartbeat& m) { return beat(self, m); },
    [=](start_node& m) { return start(self, m); },
    [=](end_node& m) {
      return self->delegate(self->state.host, end_hosted{self->address(), std::move(m)});
    },
    [=](end_control) { self->quit(); },
    [=](unstarted_tick m) {
      const auto& s = self->state;
      if (s.node || !s.starting.empty() || m.start != s.start)
        return;
      spdlog::info("spawned_node_unstarted limit_ms={} what=\"it ends\"", s.options.start_limit.count());
      self->quit();
    },
  };
}

void allow_remote_spawn(caf::actor_system_config& config, std::shared_ptr<const spawn_gate> gate,
                        const spawned_node_options& options) {
  auto make = caf::make_actor_factory([gate = std::move(gate), options](self_pointer self) {
    return spawned_node(self, gate->host(), options);
  });
  // An exception here would end CAF's spawn server for as long as the process lives. The function above runs
  // later, as the new actor, where one ends that actor alone.
  config.add_actor_factory(
    spawned_node_type,
    [make = std::move(make)](caf::actor_config& of, caf::message& arguments) -> caf::actor_factory_result {
      try {
        auto made = make(of, arguments);
        if (made.first)
          made.second = of.host->system().message_types<spawned_node_actor>();
        return made;
      } catch (const std::exception& error) {
        spdlog::error("remote_spawn_failed reason=\"{}\"", error.what());
        return {};
      } catch (...) {
        spdlog::error("remote_spawn_failed reason=\"not a std::exception\"");
        return {};
      }
    });
}

} // namespace cairn
