#include "net/node_session.hpp"

#include "actors/faults.hpp"

#include <caf/typed_response_promise.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

using self_pointer = node_session_actor::stateful_pointer<node_session_state>;
using steady_time = std::chrono::steady_clock::time_point;

void fail_under_way(node_session_state& state, const caf::error& why) {
  for (auto& [number, request] : std::exchange(state.under_way, {}))
    request.fail(why);
}

/// The end of this way to the node. Late replies find nobody.
void break_off(self_pointer self, link_errc what, std::string why) {
  fail_under_way(self->state, link_error(link_errc::connection_lost, why));
  self->quit(link_error(what, std::move(why)));
}

void cut(self_pointer self) {
  const auto& options = self->state.options;
  if (options.cut)
    options.cut(options.at.connection);
}

std::chrono::milliseconds milliseconds_between(steady_time from, steady_time to) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(to - from);
}

// --- heartbeats ---

void send_heartbeat(self_pointer self);

void heartbeat_came(self_pointer self, std::uint64_t number) {
  auto& state = self->state;
  state.last_reply = self->clock().now();
  if (number != state.last_heartbeat)
    return;
  state.first_unanswered = 0;
  self->delayed_send(self, state.options.heartbeat_interval, heartbeat_due{});
}

void heartbeat_failed(self_pointer self, std::uint64_t number, const caf::error& error) {
  if (error != caf::sec::request_timeout)
    break_off(self, link_errc::connection_lost, "the connection was lost");
  else if (number == self->state.last_heartbeat) // other replies came, only this one did not
    send_heartbeat(self);
}

void judge_at(self_pointer self, steady_time due) {
  auto& state = self->state;
  if (std::exchange(state.is_judging, true))
    return;
  state.judgement_due = due;
  self->delayed_send(self, due - self->clock().now(), judge_silence{});
}

/// One to the node, and one to the host, whose connection it is. Their requests live for longer than it takes
/// to judge, so that a late answer counts.
void send_heartbeat(self_pointer self) {
  auto& state = self->state;
  const auto& options = state.options;
  const heartbeat message{++state.last_heartbeat};
  if (state.first_unanswered == 0) {
    state.first_unanswered = message.number;
    state.unanswered_since = self->clock().now();
  }
  if (options.at.host)
    self->request(options.at.host, 2 * options.host_timeout, message)
      .then([=](const heartbeat& m) { self->state.host_answered = m.number; }, [](const caf::error&) {});
  self->request(state.node, 2 * options.host_timeout, message)
    .then([=](const heartbeat& m) { heartbeat_came(self, m.number); },
          [=](const caf::error& error) { heartbeat_failed(self, message.number, error); });
  judge_at(self, state.unanswered_since + options.host_timeout);
}

void judge(self_pointer self) {
  auto& state = self->state;
  const auto& options = state.options;
  state.is_judging = false;
  if (state.first_unanswered == 0)
    return;
  const auto now = self->clock().now();
  const auto silent_since = std::max(state.unanswered_since, state.last_reply);
  if (now < silent_since + options.host_timeout) { // something came meanwhile
    judge_at(self, silent_since + options.host_timeout);
    return;
  }
  if (now > state.judgement_due + options.heartbeat_interval) { // it was this process that did not run
    state.first_unanswered = 0;
    send_heartbeat(self);
    return;
  }
  if (state.host_answered < state.first_unanswered)
    cut(self);
  break_off(self, link_errc::connection_lost,
            fmt::format("no sign of life for {} ms", milliseconds_between(silent_since, now).count()));
}

// --- greeting ---

void greeting_failed(self_pointer self, std::string_view who, const caf::error& error) {
  if (error == caf::sec::request_timeout)
    break_off(self, link_errc::not_reachable, fmt::format("the {} does not answer", who));
  else
    break_off(self, link_errc::connection_lost, "the connection was lost");
}

void greeted(self_pointer self, hello_reply& reply) {
  auto& state = self->state;
  if (reply.result != errc::success) {
    break_off(self, link_errc::refused, std::move(reply.error_message));
    return;
  }
  if (!is_valid(reply.ids)) {
    break_off(self, link_errc::refused, "the node gives this client ids that do not exist");
    return;
  }
  state.is_greeted = true;
  state.last_reply = self->clock().now();
  self->send(state.options.owner, session_greeted{std::move(reply)});
  if (state.options.heartbeat_interval.count() > 0)
    send_heartbeat(self);
}

void greet(self_pointer self) {
  auto& state = self->state;
  self->monitor(state.node);
  const auto left = milliseconds_between(self->clock().now(), state.greet_deadline);
  self->request(state.node, std::max(left, std::chrono::milliseconds{1}), state.options.greeting)
    .then([=](hello_reply& reply) { greeted(self, reply); },
          [=](const caf::error& error) { greeting_failed(self, "node", error); });
}

void find(self_pointer self) {
  const auto& options = self->state.options;
  find_node question;
  question.name = options.node_name;
  self->monitor(options.at.host);
  self->request(options.at.host, options.greet_timeout, std::move(question))
    .then(
      [=](found_node& found) {
        if (found.result != errc::success || !found.node) {
          break_off(self, link_errc::refused,
                    found.error_message.empty() ? "the host named no node" : found.error_message);
          return;
        }
        self->state.node = std::move(found.node);
        greet(self);
      },
      [=](const caf::error& error) {
        if (error == caf::sec::request_timeout)
          cut(self); // a cached handle, or a host that froze just now: the next attempt begins afresh
        greeting_failed(self, "host", error);
      });
}

// --- requests ---

/// One timer for all: CAF would set one for each request, and keep it when the reply has long come. What CAF
/// keeps of a request that is overdue goes with its reply, or with the session.
void judge_requests_in_time(self_pointer self) {
  auto& state = self->state;
  if (state.under_way.empty() || std::exchange(state.is_judging_requests, true))
    return;
  self->delayed_send(self, state.under_way.begin()->second.deadline - self->clock().now(), judge_requests{});
}

void fail_overdue(self_pointer self) {
  auto& state = self->state;
  state.is_judging_requests = false;
  const auto now = self->clock().now();
  while (!state.under_way.empty() && state.under_way.begin()->second.deadline <= now)
    state.under_way.extract(state.under_way.begin()).mapped().fail(caf::sec::request_timeout);
  judge_requests_in_time(self);
}

/// What a reply must return; 0 for messages without an envelope.
template <class Message>
std::uint64_t message_id_of(const Message& message) {
  if constexpr (requires { message.env.message_id; })
    return message.env.message_id;
  else
    return 0;
}

/// CAF finds a reply's request by a number that each process counts for itself: another's reply, if one ever
/// came here, would be taken for ours.
void reject_foreign_reply(self_pointer self, std::uint64_t asked, std::uint64_t came) {
  spdlog::error("foreign_reply asked_message_id={} message_id={} what=\"the connection is cut\"", asked,
                came);
  cut(self);
  break_off(self, link_errc::connection_lost, "a reply to another request came");
}

template <class Reply, class Request>
caf::result<Reply> carry(self_pointer self, Request& request) {
  auto& state = self->state;
  if (!state.is_greeted)
    return link_error(link_errc::not_reachable, "the node has not been greeted yet");
  auto promise = self->template make_response_promise<Reply>();
  const auto number = state.next_request++;
  const auto asked = message_id_of(request);
  state.under_way.emplace(
    number, carried_request{self->clock().now() + state.options.request_timeout,
                            [promise](const caf::error& why) mutable { promise.deliver(why); }});
  judge_requests_in_time(self);
  self->request(state.node, caf::infinite, std::move(request))
    .then(
      [=](Reply& reply) mutable {
        if (const auto came = message_id_of(reply); came != asked) {
          reject_foreign_reply(self, asked, came);
          return;
        }
        self->state.last_reply = self->clock().now();
        if (self->state.under_way.erase(number) != 0)
          promise.deliver(std::move(reply));
      },
      [=](caf::error& error) mutable {
        if (self->state.under_way.erase(number) == 0)
          return;
        if (error == caf::sec::request_receiver_down)
          error = link_error(link_errc::connection_lost, "the connection was lost");
        promise.deliver(std::move(error));
      });
  return promise;
}

} // namespace

node_session_state::~node_session_state() {
  fail_under_way(*this, link_error(link_errc::connection_lost, "the link was ended"));
}

node_session_actor::behavior_type node_session(self_pointer self, session_options options) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  state.greet_deadline = self->clock().now() + state.options.greet_timeout;
  self->set_default_handler(caf::drop);
  self->set_down_handler([=](const caf::down_msg& down) {
    break_off(self, link_errc::connection_lost,
              down.source == self->state.options.at.host ? "the connection to the host was lost"
                                                         : "the node ended, or the connection was lost");
  });
  if (state.options.at.host) {
    find(self);
  } else {
    state.node = state.options.at.node;
    greet(self);
  }
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
    [=](heartbeat_due) { send_heartbeat(self); },
    [=](judge_silence) { judge(self); },
    [=](judge_requests) { fail_overdue(self); },
  };
}

} // namespace cairn
