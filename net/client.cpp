#include "net/client.hpp"

#include "core/version.hpp"
#include "net/node_link.hpp"

#include <random>

#include <fmt/format.h>

namespace cairn {

namespace {

hello greeting_of(const client_options& options) {
  hello message;
  message.cluster = options.cluster;
  message.client_tag = fmt::format("cairn {}", program_version);
  std::random_device random;
  message.incarnation = fmt::format("{:08x}{:08x}", random(), random());
  return message;
}

call_failure failure_of(const link_lost& loss) {
  return {loss.what == link_errc::refused ? call_error::refused : call_error::not_reachable, loss.why};
}

} // namespace

client::~client() { self_->send_exit(node_, caf::exit_reason::user_shutdown); }

void client::use(hello_reply hello) {
  hello_ = std::move(hello);
  if (ids_)
    ids_->use(hello_.ids);
  else
    ids_.emplace(hello_.ids);
}

void client::take(link_event event) {
  if (auto* connected = std::get_if<link_connected>(&event)) {
    loss_.reset();
    use(std::move(connected->hello));
  } else {
    loss_ = std::get<link_lost>(std::move(event));
  }
}

void client::take_events() {
  while (auto event = watch_ ? watch_->poll() : std::nullopt)
    take(std::move(*event));
}

call_result<void> client::wait_until_reachable(std::chrono::milliseconds time_limit) {
  const auto until = std::chrono::steady_clock::now() + time_limit;
  take_events();
  while (loss_) {
    auto event =
      watch_->next(std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()));
    if (!event)
      return tl::unexpected(call_failure{call_error::not_reachable, loss_->why});
    take(std::move(*event));
  }
  return {};
}

call_failure client::explain(const caf::error& error) const {
  if (error == caf::sec::request_timeout)
    return {call_error::timed_out, "the node did not answer in time"};
  if (error == caf::sec::request_receiver_down)
    return {call_error::not_reachable, "the connection to the node was lost"};
  return {call_error::not_reachable, explain_loss(error, system_).why};
}

call_result<std::unique_ptr<client>> client::attach(caf::actor_system& system, storage_node_actor node,
                                                    const client_options& options) {
  std::unique_ptr<client> made(new client(system));
  auto& self = made->self_;
  session_options session;
  session.at.node = std::move(node);
  session.greeting = greeting_of(options);
  session.owner = caf::actor_cast<session_owner>(self.ptr());
  session.greet_timeout = options.request_timeout;
  session.request_timeout = options.request_timeout;
  session.heartbeat_interval = {};
  made->node_ = self->spawn<caf::monitored>(node_session, std::move(session));
  std::optional<call_failure> problem;
  self->receive([&](session_greeted& greeted) { made->use(std::move(greeted.hello)); },
                [&](const caf::down_msg& down) { problem = failure_of(explain_loss(down.reason, system)); });
  if (problem)
    return tl::unexpected(std::move(*problem));
  return made;
}

call_result<std::unique_ptr<client>> client::connect(transport& wire, const host_port& address,
                                                     const client_options& options) {
  auto& system = wire.system();
  std::unique_ptr<client> made(new client(system));
  link_options link;
  link.network = network_connector(wire, address);
  link.node_name = options.node;
  link.greeting = greeting_of(options);
  link.connect_timeout = options.connect_timeout;
  link.request_timeout = options.request_timeout;
  link.heartbeat_interval = options.heartbeat_interval;
  link.host_timeout = options.host_timeout;
  const node_link_actor linked = system.spawn(node_link, std::move(link));
  made->node_ = linked;
  made->watch_.emplace(system, linked);
  // The link gives connecting a limit, and greeting likewise; it has the first word before both are over.
  auto first = made->watch_->next(2 * options.connect_timeout + std::chrono::seconds{1});
  if (first)
    made->take(std::move(*first));
  else
    made->loss_ = link_lost{link_errc::not_reachable, "it does not answer"};
  if (!made->loss_)
    return made;
  auto problem = failure_of(*made->loss_);
  if (problem.what != call_error::refused)
    problem.message = fmt::format("no node answers at {}: {}", to_string(address), problem.message);
  return tl::unexpected(std::move(problem));
}

} // namespace cairn
