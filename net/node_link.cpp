#include "net/node_link.hpp"

#include "actors/faults.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

using self_pointer = node_link_internals::stateful_pointer<node_link_state>;
using phase = node_link_state::phase;

struct connecting_state {
  connecting_state() = default;
  static inline const char* name = "cairn.connecting";
};

/// Connects once, and tells. What blocks is in here alone.
void connect_once(caf::stateful_actor<connecting_state>* self, const connector& network,
                  std::chrono::milliseconds time_limit, const node_link_internals& link) {
  auto outcome = std::make_shared<result<connected_host>>(
    fail(errc::internal_error, "connecting failed for a reason that is not known"));
  try {
    *outcome = network.connect(time_limit);
  } catch (const std::exception& e) {
    *outcome = fail(errc::internal_error, e.what());
  }
  self->send(link, connection_made{std::move(outcome)});
}

void begin_attempt(self_pointer self) {
  auto& state = self->state;
  const auto& options = state.options;
  state.now = phase::connecting;
  const auto link = caf::actor_cast<node_link_internals>(self);
  if (options.use_threads)
    self->spawn<caf::detached>(connect_once, options.network, options.connect_timeout, link);
  else
    self->spawn(connect_once, options.network, options.connect_timeout, link);
}

template <class Event>
void tell_subscribers(self_pointer self, const Event& event) {
  for (const auto& [address, subscriber] : self->state.subscribers)
    self->send(subscriber, event);
}

void lose(self_pointer self, link_lost event) {
  auto& state = self->state;
  const auto was_connected = state.now == phase::connected;
  state.now = phase::lost;
  state.session = nullptr;
  const auto delay = state.retry->next();
  self->delayed_send(self, delay, retry_due{});
  const auto is_news = was_connected || !state.last_loss || state.last_loss->what != event.what
                       || state.last_loss->why != event.why;
  if (!is_news)
    return;
  spdlog::warn("link_lost what={} reason=\"{}\" retry_ms={}", static_cast<int>(event.what), event.why,
               delay.count());
  state.last_loss = event;
  tell_subscribers(self, event);
}

void connected(self_pointer self, const connection_made& m) {
  auto& state = self->state;
  const auto& options = state.options;
  if (!*m.outcome) {
    lose(self, {link_errc::not_reachable, m.outcome->error().message});
    return;
  }
  session_options session;
  session.at = **m.outcome;
  session.node_name = options.node_name;
  session.greeting = options.greeting;
  session.owner = caf::actor_cast<session_owner>(self);
  session.cut = options.network.cut;
  session.greet_timeout = options.connect_timeout;
  session.request_timeout = options.request_timeout;
  session.heartbeat_interval = options.heartbeat_interval;
  session.host_timeout = options.host_timeout;
  state.session = self->spawn<caf::monitored>(node_session, std::move(session));
}

void greeted(self_pointer self, const hello_reply& hello) {
  auto& state = self->state;
  const auto& before = state.last_hello;
  if (before && (before->cluster != hello.cluster || before->node != hello.node)) {
    self->send_exit(state.session, caf::exit_reason::user_shutdown);
    lose(self, {link_errc::refused, fmt::format("node {} of cluster {} is there, instead of {} of {}",
                                                hello.node, hello.cluster, before->node, before->cluster)});
    return;
  }
  state.now = phase::connected;
  state.retry->reset();
  state.last_hello = hello;
  state.last_loss.reset();
  spdlog::info("link_connected node={} cluster={} shard={}", hello.node, hello.cluster,
               hello.ids.shard.value);
  tell_subscribers(self, link_connected{hello});
}

void subscribe(self_pointer self) {
  auto& state = self->state;
  const auto subscriber = caf::actor_cast<link_subscriber>(self->current_sender());
  if (!subscriber)
    return;
  if (state.subscribers.emplace(subscriber.address(), subscriber).second)
    self->monitor(subscriber);
  if (state.now == phase::connected)
    self->send(subscriber, link_connected{*state.last_hello});
  else if (state.last_loss)
    self->send(subscriber, *state.last_loss);
}

void unsubscribe(self_pointer self, const caf::actor_addr& who) {
  if (self->state.subscribers.erase(who) != 0)
    self->demonitor(who);
}

void on_down(self_pointer self, const caf::down_msg& down) {
  auto& state = self->state;
  if (state.session && down.source == state.session.address())
    lose(self, explain_loss(down.reason, self->system()));
  else
    state.subscribers.erase(down.source);
}

/// Hands a request to the session, which answers it.
template <class Reply, class Request>
caf::result<Reply> carry(self_pointer self, Request& request) {
  auto& state = self->state;
  if (state.now == phase::connected)
    return self->delegate(state.session, std::move(request));
  return link_error(link_errc::not_reachable,
                    state.last_loss ? state.last_loss->why : "the link is connecting");
}

} // namespace

link_lost explain_loss(const caf::error& reason, const caf::actor_system& system) {
  if (reason.category() != caf::atom("link"))
    return {link_errc::connection_lost, system.render(reason)};
  const auto& context = reason.context();
  return {static_cast<link_errc>(reason.code()),
          context.match_elements<std::string>() ? context.get_as<std::string>(0) : std::string{}};
}

node_link_state::~node_link_state() {
  if (session)
    caf::anon_send_exit(session, caf::exit_reason::user_shutdown);
}

node_link_internals::behavior_type node_link(self_pointer self, link_options options) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  state.retry.emplace(state.options.retry, state.options.retry_seed);
  self->set_default_handler(caf::drop);
  self->set_down_handler([=](const caf::down_msg& down) { on_down(self, down); });
  begin_attempt(self);
  return {
    [=](hello& m) { return carry<hello_reply>(self, m); },
    [=](archive_key_entire& m) { return carry<archive_reply>(self, m); },
    [=](archive_key_start& m) { return carry<archive_reply>(self, m); },
    [=](archive_key_next& m) { return carry<archive_reply>(self, m); },
    [=](archive_key_final& m) { return carry<archive_reply>(self, m); },
    [=](archive_key_cancel& m) { return carry<archive_reply>(self, m); },
    [=](destroy_key& m) { return carry<archive_reply>(self, m); },
    [=](start_conjoined_archive& m) { return carry<archive_reply>(self, m); },
    [=](abort_conjoined_archive& m) { return carry<archive_reply>(self, m); },
    [=](finish_conjoined_archive& m) { return carry<archive_reply>(self, m); },
    [=](gateway_start& m) { return carry<archive_reply>(self, m); },
    [=](purge& m) { return carry<archive_reply>(self, m); },
    [=](add_node& m) { return carry<archive_reply>(self, m); },
    [=](sync_value_file& m) { return carry<archive_reply>(self, m); },
    [=](list_versions& m) { return carry<list_reply>(self, m); },
    [=](list_handoffs& m) { return carry<handoff_reply>(self, m); },
    [=](list_nodes& m) { return carry<nodes_reply>(self, m); },
    [=](retrieve_start& m) { return carry<retrieve_reply>(self, m); },
    [=](retrieve_next& m) { return carry<retrieve_reply>(self, m); },
    [=](lookup& m) { return carry<lookup_reply>(self, m); },
    [=](list_keys& m) { return carry<list_reply>(self, m); },
    [=](get_status& m) { return carry<status_reply>(self, m); },
    [=](heartbeat& m) { return carry<heartbeat>(self, m); },
    [=](subscribe_link) { subscribe(self); },
    [=](unsubscribe_link) { unsubscribe(self, caf::actor_cast<caf::actor_addr>(self->current_sender())); },
    [=](const connection_made& m) { connected(self, m); },
    [=](const session_greeted& m) {
      if (self->current_sender() == self->state.session)
        greeted(self, m.hello);
    },
    [=](retry_due) { begin_attempt(self); },
  };
}

} // namespace cairn
