#include "net/endpoint.hpp"

#include <caf/io/all.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>

namespace cairn {

namespace {

template <class Reply, class Question>
result<Reply> ask(caf::actor_system& system, const host_actor& host, Question question,
                  std::chrono::milliseconds limit) {
  result<Reply> out;
  caf::scoped_actor self(system);
  self->request(host, limit, std::move(question))
    .receive(
      [&](Reply& reply) {
        if (reply.result == errc::success)
          out = std::move(reply);
        else
          out = fail(reply.result, std::move(reply.error_message));
      },
      [&](const caf::error&) { out = fail(errc::timed_out, "the host does not answer"); });
  return out;
}

} // namespace

result<std::uint16_t> publish_host(transport& wire, const host_port& where, const host_actor& host) {
  return wire.listen(where, caf::actor_cast<caf::strong_actor_ptr>(host),
                     wire.system().message_types<host_actor>());
}

result<reached_host> connect_host(transport& wire, const host_port& where, std::chrono::milliseconds limit) {
  auto peer = wire.connect(where, limit);
  if (!peer)
    return pass_failure(peer);
  if (!wire.system().assignable(peer->interface, wire.system().message_types<host_actor>())) {
    wire.disconnect(peer->connection);
    return fail(errc::version_mismatch, "another program, or another version of it, listens there");
  }
  return reached_host{caf::actor_cast<host_actor>(std::move(peer->published)), peer->connection};
}

result<found_node> ask_for_node(caf::actor_system& system, const host_actor& host, const std::string& name,
                                std::chrono::milliseconds limit) {
  return ask<found_node>(system, host, find_node{wire_version, name}, limit);
}

result<hosted_nodes> ask_for_nodes(caf::actor_system& system, const host_actor& host,
                                   std::chrono::milliseconds limit) {
  return ask<hosted_nodes>(system, host, list_hosted{}, limit);
}

result<spawned_node_actor> spawn_node(caf::actor_system& system, const host_actor& host,
                                      std::chrono::milliseconds limit) {
  auto spawned = system.middleman().remote_spawn<spawned_node_actor>(host.node(), spawned_node_type,
                                                                     caf::make_message(), limit);
  if (spawned && *spawned)
    return *spawned;
  const auto error = spawned ? caf::make_error(caf::sec::request_receiver_down) : spawned.error();
  if (error == caf::sec::unknown_type)
    return fail(errc::not_allowed, "the host spawns no nodes: start it with --allow-remote-spawn");
  if (error == caf::sec::unexpected_actor_messaging_interface)
    return fail(errc::version_mismatch, "the host is of another version");
  if (error == caf::sec::cannot_spawn_actor_from_arguments)
    return fail(errc::internal_error, "the host failed to make the actor: its log says why");
  return fail(errc::timed_out, fmt::format("the host does not answer: {}", system.render(error)));
}

} // namespace cairn
