#include "net/client.hpp"

#include "core/version.hpp"
#include "net/courier.hpp"

#include <random>

#include <caf/io/all.hpp>
#include <fmt/format.h>

namespace cairn {

client::client(caf::actor_system& system, const storage_node_actor& node, const client_options& options)
    : system_(system), self_(system), courier_(self_->spawn(courier, node, options.request_timeout)) {}

client::~client() { self_->send_exit(courier_, caf::exit_reason::user_shutdown); }

call_failure client::explain(const caf::error& error) const {
  if (error == caf::sec::request_timeout)
    return {call_error::timed_out, "the node did not answer in time"};
  if (error == caf::sec::request_receiver_down || error == caf::sec::remote_linking_failed)
    return {call_error::not_reachable, "the connection to the node was lost"};
  return {call_error::not_reachable, system_.render(error)};
}

call_result<std::unique_ptr<client>> client::attach(caf::actor_system& system, storage_node_actor node,
                                                    const client_options& options) {
  std::unique_ptr<client> made(new client(system, node, options));
  if (auto greeted = made->say_hello(options.cluster); !greeted)
    return tl::unexpected(std::move(greeted.error()));
  return made;
}

call_result<void> client::say_hello(const std::string& cluster) {
  hello message;
  message.cluster = cluster;
  message.client_tag = fmt::format("cairn {}", program_version);
  std::random_device random;
  message.incarnation = fmt::format("{:08x}{:08x}", random(), random());
  call_result<void> out;
  self_->request(courier_, caf::infinite, std::move(message))
    .receive([&](hello_reply& reply) { hello_ = std::move(reply); },
             [&](const caf::error& error) { out = tl::unexpected(explain(error)); });
  if (out && hello_.result != errc::success)
    out = tl::unexpected(call_failure{call_error::refused, hello_.error_message});
  if (out)
    ids_.emplace(hello_.shard);
  return out;
}

call_result<std::unique_ptr<client>> client::connect(caf::actor_system& system, const host_port& address,
                                                     const client_options& options) {
  caf::scoped_actor self(system);
  const auto unreachable = [&](const std::string& why) {
    return tl::unexpected(call_failure{call_error::not_reachable,
                                       fmt::format("no node answers at {}: {}", to_string(address), why)});
  };
  storage_node_actor node;
  std::string problem;
  self
    ->request(system.middleman().actor_handle(), options.connect_timeout, caf::connect_atom::value,
              address.host, address.port)
    .receive(
      [&](caf::node_id&, caf::strong_actor_ptr& published, std::set<std::string>& interface) {
        if (!published)
          problem = "something else listens there";
        else if (!system.assignable(interface, system.message_types<storage_node_actor>()))
          problem = "another program, or another version of it, listens there";
        else
          node = caf::actor_cast<storage_node_actor>(std::move(published));
      },
      [&](const caf::error& error) {
        problem =
          error == caf::sec::request_timeout ? "it does not answer" : "connection refused or host not known";
      });
  if (!problem.empty())
    return unreachable(problem);
  auto attached = attach(system, std::move(node), options);
  if (!attached && attached.error().what != call_error::refused)
    return unreachable(attached.error().message);
  return attached;
}

} // namespace cairn
