#include "actors/node_host.hpp"

#include "actors/faults.hpp"
#include "actors/host_questions.hpp"
#include "core/version.hpp"

#include <algorithm>

#include <caf/send.hpp>
#include <fmt/format.h>

namespace cairn {

namespace {

using self_pointer = host_owner_actor::stateful_pointer<node_host_state>;

// --- answers ---

node_hosted refusal(failure why) {
  node_hosted refused;
  refused.answer.result = why.code;
  refused.answer.error_message = std::move(why.message);
  refused.answer.program_version = program_version;
  return refused;
}

node_hosted success(const node_entry& entry) {
  node_hosted hosted;
  hosted.answer.program_version = program_version;
  hosted.answer.cluster = entry.settings.cluster_name;
  hosted.answer.name = entry.settings.node_name;
  hosted.answer.data_directory = entry.settings.data_directory;
  hosted.answer.recovery = entry.recovery;
  hosted.node = caf::actor_cast<storage_node_actor>(entry.actor);
  return hosted;
}

void answer_ready(node_host_state& state, const readiness& answer) {
  for (auto& promise : std::exchange(state.awaiting_ready, {}))
    promise.deliver(answer);
}

void answer_starts(node_entry& entry, const node_hosted& answer) {
  for (auto& [control, promise] : std::exchange(entry.starting, {}))
    promise.deliver(answer);
}

void answer_ends(node_entry& entry, const node_ended& answer) {
  for (auto& promise : std::exchange(entry.ending, {}))
    promise.deliver(answer);
}

// --- the end of nodes ---

/// All nodes are gone: so is the host.
void finish_if_empty(self_pointer self) {
  auto& state = self->state;
  if (!state.ending || !state.nodes.empty())
    return;
  for (const auto& [address, control] : state.controls)
    self->send(control.handle, end_control{});
  if (state.stopping.pending())
    state.stopping.deliver(node_stopped{state.lost});
  self->quit(*state.ending);
}

/// Stops a node in order. It is gone when its actor is.
void stop_node_of(self_pointer self, node_entry& entry, std::string_view why) {
  entry.phase = node_phase::stopping;
  spdlog::info("node_stopping node={} reason=\"{}\"", entry.settings.node_name, why);
  const auto name = entry.settings.node_name;
  self->request(entry.actor, self->state.options.stop_limit, stop_node{})
    .then(
      [=](const node_stopped& stopped) {
        if (const auto found = self->state.nodes.find(name); found != self->state.nodes.end())
          found->second.lost = stopped.lost;
      },
      [=](const caf::error& error) {
        const auto found = self->state.nodes.find(name);
        if (found == self->state.nodes.end())
          return;
        spdlog::warn("node_stop_failed node={} reason=\"{}\" what=\"its next start recovers\"", name,
                     self->system().render(error));
        self->send_exit(found->second.actor, caf::exit_reason::kill);
      });
}

/// Begins the host's end; later calls change nothing.
void stop_all(self_pointer self, caf::error reason) {
  auto& state = self->state;
  if (state.ending)
    return;
  state.ending = std::move(reason);
  if (state.options.gate)
    state.options.gate->close();
  for (const auto& [address, control] : state.controls)
    if (control.node.empty())
      self->send(control.handle, end_control{});
  for (auto& [name, entry] : state.nodes)
    if (entry.phase == node_phase::starting || entry.phase == node_phase::ready)
      stop_node_of(self, entry, "the host stops");
  finish_if_empty(self);
}

/// Its actor is gone, and with it lock and database server.
void node_is_gone(self_pointer self, std::map<std::string, node_entry>::iterator found,
                  const caf::error& reason) {
  auto& state = self->state;
  auto entry = std::move(found->second);
  state.nodes.erase(found);
  const auto& name = entry.settings.node_name;
  const bool was_told = entry.phase == node_phase::stopping;
  if (was_told) {
    spdlog::info("node_stopped node={} lost={}", name, entry.lost);
    state.lost += entry.lost;
  } else if (entry.phase == node_phase::ready) {
    spdlog::error("node_lost node={} reason=\"{}\"", name, self->system().render(reason));
    entry.why = {errc::internal_error, "the node ended: " + self->system().render(reason)};
  } else if (entry.phase == node_phase::starting) {
    entry.why = {errc::internal_error, "the node ended while it started: " + self->system().render(reason)};
  }
  // After a failed start its spawned actors may try again; else they end with the node.
  const bool may_try_again = !was_told && !entry.starting.empty() && entry.ending.empty() && !state.ending;
  const auto why = was_told ? failure{errc::shutting_down, "the node was stopped"} : std::move(entry.why);
  // Answers first: the end of a control is seen as the loss of what was asked through it.
  answer_starts(entry, refusal(why));
  answer_ends(entry, node_ended{errc::success, {}, entry.lost});
  for (const auto& address : entry.controls) {
    const auto control = state.controls.find(address);
    if (control == state.controls.end())
      continue;
    control->second.node.clear();
    if (!may_try_again)
      self->send(control->second.handle, end_control{});
  }
  if (!entry.is_spawned) {
    state.configured.clear();
    answer_ready(state, readiness{why.code, why.message, {}});
    if (!was_told && entry.phase == node_phase::ready)
      stop_all(self, reason);
  }
  finish_if_empty(self);
}

// --- the start of nodes ---

/// A node that nobody wants any more stops as soon as it can.
void stop_if_left(self_pointer self, node_entry& entry) {
  if (!entry.is_spawned || entry.phase != node_phase::ready)
    return;
  if (!entry.ending.empty())
    stop_node_of(self, entry, "its coordinator asked for it");
  else if (entry.coordinators.empty() && entry.on_coordinator_loss == coordinator_loss::stop)
    stop_node_of(self, entry, "its coordinators are lost");
}

void start_answered(self_pointer self, const std::string& name, const readiness& answer) {
  auto& state = self->state;
  const auto found = state.nodes.find(name);
  if (found == state.nodes.end() || found->second.phase != node_phase::starting)
    return; // it is being stopped
  auto& entry = found->second;
  if (answer.result != errc::success) { // it ends by itself; its directory is free when it has
    entry.phase = node_phase::failed;
    entry.why = {answer.result, answer.error_message};
    return;
  }
  entry.phase = node_phase::ready;
  entry.recovery = answer.recovery;
  if (!entry.is_spawned)
    answer_ready(state, answer);
  if (entry.ending.empty())
    answer_starts(entry, success(entry));
  stop_if_left(self, entry);
}

node_entry& make_node(self_pointer self, node_settings settings) {
  auto& options = self->state.options;
  storage_node_options of_node;
  of_node.settings = settings;
  of_node.value_file_disk = options.value_file_disk;
  of_node.peers = options.peers;
  const auto name = settings.node_name;
  node_entry entry;
  entry.actor = options.make_node(self->system(), std::move(of_node));
  entry.settings = std::move(settings);
  self->monitor(entry.actor);
  return self->state.nodes.emplace(name, std::move(entry)).first->second;
}

void begin_start(self_pointer self, node_entry& entry) {
  if (std::exchange(entry.is_asked, true))
    return;
  const auto& name = entry.settings.node_name;
  spdlog::info("node_starting node={} directory=\"{}\" kind={}", name, entry.settings.data_directory,
               entry.is_spawned ? to_string(entry.on_coordinator_loss) : "configured");
  // Recovery takes as long as it takes; a node that dies over it is noticed.
  self->request(entry.actor, caf::infinite, await_ready{})
    .then([=](const readiness& answer) { start_answered(self, name, answer); },
          [](const caf::error&) {}); // its end says it
}

/// Finds the node that a start is about, or makes it.
result<node_entry*> node_for(self_pointer self, const control_entry& control, const start_node& message) {
  auto& state = self->state;
  auto settings = to_settings(message, state.options.rules);
  if (!settings)
    return pass_failure(settings);
  const auto& name = settings->node_name;
  if (!control.node.empty() && control.node != name)
    return fail(errc::conflict,
                fmt::format("this actor is node \"{}\": spawn another for \"{}\"", control.node, name));
  const auto found = state.nodes.find(name);
  if (found == state.nodes.end()) {
    if (auto room = check_room(state, *settings); !room)
      return pass_failure(room);
    auto& entry = make_node(self, std::move(*settings));
    entry.is_spawned = true;
    entry.on_coordinator_loss = message.on_coordinator_loss;
    return &entry;
  }
  auto& entry = found->second;
  if (!entry.is_spawned)
    return fail(errc::conflict, fmt::format("\"{}\" is this host's own node: take another name", name));
  if (entry.phase != node_phase::starting && entry.phase != node_phase::ready)
    return fail(errc::shutting_down, fmt::format("node \"{}\" is ending: repeat when it has", name));
  if (!same_node(entry.settings, *settings) || entry.on_coordinator_loss != message.on_coordinator_loss)
    return fail(
      errc::conflict,
      fmt::format("node \"{}\" runs with other settings: end it first, or take another name", name));
  return &entry;
}

/// Few handles of one node: the oldest that no coordinator holds makes room.
void limit_controls(self_pointer self, node_entry& entry) {
  auto& state = self->state;
  while (entry.controls.size() > state.options.max_controls) {
    const auto unused = std::find_if(entry.controls.begin(), entry.controls.end(), [&](const auto& address) {
      const auto found = state.controls.find(address);
      return found == state.controls.end() || found->second.coordinators.empty();
    });
    if (unused == entry.controls.end())
      return; // as many coordinators are alive
    if (const auto found = state.controls.find(*unused); found != state.controls.end())
      self->send(found->second.handle, end_control{});
    entry.controls.erase(unused);
  }
}

caf::result<node_hosted> host(self_pointer self, const host_node& request) {
  auto& state = self->state;
  const auto control = state.controls.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
  if (state.ending || control == state.controls.end())
    return refusal({errc::shutting_down, "the host is stopping"});
  if (!request.coordinator)
    return refusal(
      {errc::invalid_message, "start_node needs a sender: its end is the loss of the coordinator"});
  auto found = node_for(self, control->second, request.message);
  if (!found)
    return refusal(std::move(found.error()));
  auto& entry = **found;
  const auto coordinator = caf::actor_cast<caf::actor_addr>(request.coordinator);
  entry.coordinators.insert(coordinator);
  control->second.coordinators.insert(coordinator);
  if (state.watched.insert(coordinator).second)
    self->monitor(coordinator);
  if (control->second.node.empty()) {
    control->second.node = entry.settings.node_name;
    entry.controls.push_back(control->first);
    limit_controls(self, entry);
  }
  if (entry.phase == node_phase::ready)
    return success(entry);
  auto promise = self->make_response_promise<node_hosted>();
  entry.starting.emplace_back(control->first, promise);
  begin_start(self, entry);
  return promise;
}

// --- spawned_node actors ---

void control_made_by(self_pointer self, const control_made& made) {
  auto& state = self->state;
  const auto unstarted =
    static_cast<std::size_t>(std::count_if(state.controls.begin(), state.controls.end(),
                                           [](const auto& entry) { return entry.second.node.empty(); }));
  if (state.ending || unstarted >= state.options.max_unstarted) {
    spdlog::warn("remote_spawn_refused unstarted={}", unstarted);
    self->send(made.control, end_control{});
    return;
  }
  self->monitor(made.control);
  control_entry entry;
  entry.handle = made.control;
  state.controls.emplace(made.control.address(), std::move(entry));
}

caf::result<node_ended> end(self_pointer self, const end_hosted& request) {
  auto& state = self->state;
  const auto control = state.controls.find(request.control);
  const auto found =
    control == state.controls.end() ? state.nodes.end() : state.nodes.find(control->second.node);
  const auto& asked = request.message.name;
  if (found == state.nodes.end()) { // nothing was started: the actor alone ends
    auto promise = self->make_response_promise<node_ended>();
    promise.deliver(node_ended{});
    if (control != state.controls.end())
      self->send(control->second.handle, end_control{});
    return promise;
  }
  auto& entry = found->second;
  if (!asked.empty() && asked != found->first)
    return node_ended{errc::conflict,
                      fmt::format("this actor is node \"{}\", not \"{}\"", found->first, asked), 0};
  auto promise = self->make_response_promise<node_ended>();
  entry.ending.push_back(promise);
  stop_if_left(self, entry);
  return promise;
}

// --- supervision ---

void on_down(self_pointer self, const caf::down_msg& down) {
  auto& state = self->state;
  const auto node = std::find_if(state.nodes.begin(), state.nodes.end(), [&](const auto& entry) {
    return entry.second.actor.address() == down.source;
  });
  if (node != state.nodes.end()) {
    node_is_gone(self, node, down.reason);
    return;
  }
  if (const auto control = state.controls.find(down.source); control != state.controls.end()) {
    if (const auto of = state.nodes.find(control->second.node); of != state.nodes.end())
      std::erase(of->second.controls, down.source);
    state.controls.erase(control);
    return;
  }
  if (state.watched.erase(down.source) == 0)
    return;
  for (auto& [address, control] : state.controls)
    control.coordinators.erase(down.source);
  for (auto& [name, entry] : state.nodes)
    if (entry.coordinators.erase(down.source) != 0) {
      spdlog::info("coordinator_lost node={} left={} on_coordinator_loss={}", name, entry.coordinators.size(),
                   to_string(entry.on_coordinator_loss));
      stop_if_left(self, entry);
    }
}

caf::result<readiness> ready(self_pointer self) {
  auto& state = self->state;
  if (state.ending)
    return readiness{errc::shutting_down, "the host is stopping", {}};
  if (!state.options.configured)
    return readiness{};
  const auto found = state.nodes.find(state.configured);
  if (found == state.nodes.end())
    return readiness{errc::internal_error, "the node has ended", {}};
  if (found->second.phase == node_phase::ready)
    return readiness{errc::success, {}, found->second.recovery};
  auto promise = self->make_response_promise<readiness>();
  state.awaiting_ready.push_back(promise);
  begin_start(self, found->second);
  return promise;
}

} // namespace

node_host_state::~node_host_state() {
  if (options.gate)
    options.gate->close();
  const failure why{errc::internal_error, "the host ended"};
  for (auto& [key, entry] : nodes) {
    answer_starts(entry, refusal(why));
    answer_ends(entry, node_ended{why.code, why.message, 0});
    caf::anon_send_exit(entry.actor, caf::exit_reason::user_shutdown);
  }
  answer_ready(*this, readiness{why.code, why.message, {}});
  if (stopping.pending())
    stopping.deliver(caf::make_error(caf::sec::runtime_error, why.message));
}

node_owner_actor spawn_storage_node(caf::actor_system& system, storage_node_options options) {
  return system.spawn(storage_node, std::move(options));
}

host_owner_actor::behavior_type node_host(self_pointer self, node_host_options options) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  self->set_default_handler(caf::drop);
  self->set_down_handler([=](const caf::down_msg& down) { on_down(self, down); });
  if (const auto& configured = state.options.configured) {
    auto settings = *configured;
    if (auto resolved = resolve_directory(settings.data_directory))
      settings.data_directory = std::move(*resolved); // else its start says what is wrong
    state.configured = settings.node_name;
    make_node(self, std::move(settings));
  }
  if (state.options.gate)
    state.options.gate->open(self);
  return {
    [=](const find_node& m) { return find_in(self->state, m); },
    [=](const list_hosted& m) { return list_of(self->state, m); },
    [](const heartbeat& m) { return m; },
    [=](await_ready) { return ready(self); },
    [=](stop_host) -> caf::result<node_stopped> {
      if (self->state.stopping.pending())
        return caf::sec::invalid_argument; // one stop is under way
      auto promise = self->make_response_promise<node_stopped>();
      self->state.stopping = promise;
      stop_all(self, caf::exit_reason::normal);
      finish_if_empty(self);
      return promise;
    },
    [=](const control_made& m) { control_made_by(self, m); },
    [=](const host_node& m) { return host(self, m); },
    [=](const end_hosted& m) { return end(self, m); },
  };
}

} // namespace cairn
