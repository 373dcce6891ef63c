#include "actors/host_questions.hpp"

#include "core/version.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

namespace {

result<void> check_version(std::uint32_t version) {
  if (version != wire_version)
    return fail(errc::version_mismatch,
                fmt::format("the client speaks wire version {}, this host speaks {}", version, wire_version));
  return {};
}

std::string names_of(const node_host_state& state) {
  std::string names;
  for (const auto& [name, entry] : state.nodes)
    names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

} // namespace

result<void> check_room(const node_host_state& state, const node_settings& settings) {
  std::size_t spawned = 0;
  for (const auto& [name, entry] : state.nodes) {
    spawned += entry.is_spawned ? 1 : 0;
    if (entry.settings.id == settings.id)
      return fail(errc::conflict,
                  fmt::format("node number {} is node \"{}\" of this host", settings.id.value, name));
    if (overlap(entry.settings.data_directory, settings.data_directory))
      return fail(errc::conflict, fmt::format("{} is in use: node \"{}\" of this host has {}",
                                              settings.data_directory, name, entry.settings.data_directory));
  }
  if (spawned >= state.options.max_spawned)
    return fail(errc::busy,
                fmt::format("this host runs {} spawned nodes, as many as it may: end one", spawned));
  return {};
}

found_node find_in(const node_host_state& state, const find_node& question) {
  found_node reply;
  const auto refuse = [&](errc code, std::string why) {
    reply.result = code;
    reply.error_message = std::move(why);
    return reply;
  };
  if (const auto checked = check_version(question.version); !checked)
    return refuse(checked.error().code, checked.error().message);
  if (state.ending)
    return refuse(errc::shutting_down, "the host is stopping");
  const auto& name = question.name.empty() ? state.configured : question.name;
  if (name.empty())
    return refuse(errc::not_found,
                  fmt::format("this host has no node of its own: name one of {}", names_of(state)));
  const auto found = state.nodes.find(name);
  if (found == state.nodes.end())
    return refuse(errc::not_found,
                  fmt::format("this host has no node \"{}\": name one of {}", name, names_of(state)));
  const auto& entry = found->second;
  reply.name = name;
  reply.node = caf::actor_cast<storage_node_actor>(entry.actor);
  for (const auto& address : entry.controls)
    if (const auto control = state.controls.find(address); control != state.controls.end()) {
      reply.control = caf::actor_cast<spawned_node_actor>(control->second.handle);
      break;
    }
  return reply;
}

hosted_nodes list_of(const node_host_state& state, const list_hosted& question) {
  hosted_nodes reply;
  reply.cluster = state.options.rules.cluster;
  reply.program_version = program_version;
  reply.allows_spawn = !state.options.rules.root.empty();
  if (const auto checked = check_version(question.version); !checked) {
    reply.result = checked.error().code;
    reply.error_message = checked.error().message;
    return reply;
  }
  for (const auto& [name, entry] : state.nodes)
    reply.nodes.push_back({name, entry.settings.id, entry.phase, entry.is_spawned,
                           entry.settings.data_directory, entry.on_coordinator_loss,
                           static_cast<std::int32_t>(entry.coordinators.size())});
  std::stable_partition(reply.nodes.begin(), reply.nodes.end(),
                        [](const auto& node) { return !node.is_spawned; });
  return reply;
}

} // namespace cairn
