#include "actors/reply.hpp"

#include "actors/digester.hpp"
#include "actors/faults.hpp"

#include <caf/send.hpp>
#include <fmt/format.h>

namespace cairn {

namespace {

using self_pointer = reply_actor::stateful_pointer<reply_state>;

/// Requests of one client under way at most, whatever their payload.
constexpr std::size_t max_requests = 16'384;
/// Questions of one client that readers have at most: so many answers, each up to the largest sequence, may
/// come although the client takes none.
constexpr std::size_t max_asked = 8;
/// Between looks for overdue requests.
constexpr std::chrono::milliseconds expiry_interval{500};

template <class Reply = archive_reply>
Reply refusal(envelope env, errc code, std::string message) {
  Reply reply;
  reply.env = std::move(env);
  reply.result = code;
  reply.error_message = std::move(message);
  return reply;
}

result<void> check_room(const reply_state& state) {
  if (state.waiting.size() + state.reading.size() >= max_requests)
    return fail(errc::busy,
                fmt::format("{} requests of this client are under way: wait for replies", max_requests));
  return {};
}

/// @returns why `bytes` more do not fit, or nothing when they are held from now on
result<void> take_window(reply_state& state, std::uint64_t bytes) {
  if (auto room = check_room(state); !room)
    return room;
  const auto& limits = state.options.limits;
  if (state.window_bytes + bytes > limits.client_window_bytes)
    return fail(errc::busy,
                fmt::format("{} bytes of this client are under way, its window is {}: wait for replies",
                            state.window_bytes, limits.client_window_bytes));
  // A quarter of the total is kept for clients that hold little: a few greedy ones do not shut out the rest.
  const auto is_modest = state.window_bytes + bytes <= limits.client_window_bytes / 16;
  const auto room = is_modest ? limits.total_window_bytes : limits.total_window_bytes / 4 * 3;
  auto& total = state.options.vitals->window_bytes;
  if (total.fetch_add(bytes) + bytes > room) {
    total -= bytes;
    return fail(errc::busy, "the node holds all the payload it may: wait, then repeat");
  }
  state.window_bytes += bytes;
  return {};
}

void give_window_back(reply_state& state, std::uint64_t bytes) {
  state.window_bytes -= bytes;
  state.options.vitals->window_bytes -= bytes;
}

void deliver(reply_state& state, std::uint64_t request, archive_reply answer) {
  const auto node = state.waiting.extract(request);
  if (node.empty())
    return; // it was answered when it was overdue
  auto waiting = std::move(node.mapped());
  give_window_back(state, waiting.window_bytes);
  answer.env = std::move(waiting.env);
  answer.version = waiting.version;
  if (answer.result == errc::success && waiting.new_node)
    state.options.nodes->add(*waiting.new_node);
  waiting.promise.deliver(std::move(answer));
}

caf::result<archive_reply> submit_operation(self_pointer self, envelope env,
                                            result<write_operation> operation, std::uint64_t bytes) {
  auto& state = self->state;
  if (operation)
    if (auto held = take_window(state, bytes); !held)
      operation = tl::unexpected(std::move(held.error()));
  if (!operation)
    return refusal(std::move(env), operation.error().code, std::move(operation.error().message));

  waiting_reply waiting;
  waiting.promise = self->make_response_promise<archive_reply>();
  waiting.env = std::move(env);
  waiting.window_bytes = bytes;
  waiting.deadline = self->clock().now() + state.options.request_timeout;
  if (const auto* destroy = std::get_if<destroy_request>(&*operation))
    waiting.version = destroy->of.segment.version;
  if (const auto* configure = std::get_if<configure_request>(&*operation))
    if (const auto* node = std::get_if<node_record>(&configure->change))
      waiting.new_node = *node;
  auto promise = waiting.promise;

  auto request = std::make_shared<write_request>();
  request->ticket = {state.options.client, state.next_request++};
  request->operation = std::move(*operation);
  state.waiting.emplace(request->ticket.request, std::move(waiting));
  self->send(state.options.writer, submit{std::move(request)});
  return promise;
}

/// Small payloads that are answered when written are digested here; those that wait for a round are digested
/// with those of other clients, large ones by the digesters: both the writer's business.
result<write_operation> digest_if_small(result<write_operation> operation) {
  if (!operation)
    return operation;
  auto* sequence = std::visit(
    [](auto& request) -> incoming_sequence* {
      if constexpr (
        requires { request.sequence; } && !requires { request.file; })
        return &request.sequence;
      else
        return nullptr;
    },
    *operation);
  if (sequence == nullptr || sequence->data.size() > small_payload_bytes)
    return operation;
  auto checksums = check_digests(sequence->info, sequence->data);
  if (!checksums)
    return pass_failure(checksums);
  sequence->checksums = std::move(*checksums);
  sequence->digests_checked = true;
  return operation;
}

/// Checks a message that stores something and hands it to the writer.
template <class Message>
caf::result<archive_reply> write(self_pointer self, Message message) {
  const auto& options = self->state.options;
  auto env = message.env;
  if (auto checked = validate(env); !checked)
    return refusal(std::move(env), checked.error().code, std::move(checked.error().message));
  std::uint64_t bytes = 0;
  if constexpr (requires { message.data; })
    bytes = message.data.size();
  auto operation = to_operation(std::move(message), {*options.nodes, options.limits});
  return submit_operation(self, std::move(env), digest_if_small(std::move(operation)), bytes);
}

/// What a question waits for.
enum class question_wait { nothing, earlier_answers, own_drain, drain_of_all };

question_wait wait_of(const reply_state& state) {
  if (state.asked >= max_asked)
    return question_wait::earlier_answers;
  if (!state.options.account)
    return question_wait::nothing;
  const auto unsent = state.options.account->unsent_bytes();
  if (unsent > connection_account::drained_bytes)
    return question_wait::own_drain;
  const auto all_unsent = state.options.account->totals().unsent_bytes();
  return unsent == 0 || all_unsent <= state.options.limits.total_window_bytes / 2
           ? question_wait::nothing
           : question_wait::drain_of_all;
}

/// Puts questions to readers for as long as the client takes the answers.
void ask_waiting(self_pointer self) {
  auto& state = self->state;
  auto wait = question_wait::nothing;
  while (!state.questions.empty()) {
    wait = wait_of(state);
    if (wait != question_wait::nothing)
      break;
    const auto next = std::move(state.questions.front());
    state.questions.pop_front();
    const auto question = state.reading.find(next.number);
    if (question == state.reading.end())
      continue; // it was overdue, and is answered
    question->second.is_asked = true;
    ++state.asked;
    next.ask();
  }
  // Of a drained connection the account tells at once, so it is asked for nothing else: an answer comes here
  // again by itself, and for what others have not taken expire() looks.
  if (wait != question_wait::own_drain || state.awaits_drain)
    return;
  state.awaits_drain = true;
  state.options.account->when_drained([me = self->address()] {
    if (const auto alive = caf::actor_cast<reply_actor>(me))
      caf::anon_send(alive, answers_taken{});
  });
}

/// Takes a question off the list that is answered now. @returns nothing when it was overdue, and answered
std::optional<open_question> close_question(reply_state& state, std::uint64_t number) {
  const auto node = state.reading.extract(number);
  if (node.empty())
    return std::nullopt;
  if (node.mapped().is_asked)
    --state.asked;
  return std::move(node.mapped());
}

/// Puts a question to a reader; whatever becomes of that reader, the client gets a reply.
/// @param reader its number, modulo their count
template <class Reply, class Question>
caf::result<Reply> ask(self_pointer self, std::uint64_t reader, result<void> checked, Question question) {
  auto& state = self->state;
  if (checked)
    checked = check_room(state);
  if (!checked)
    return refusal<Reply>(std::move(question.env), checked.error().code, std::move(checked.error().message));

  auto promise = self->make_response_promise<Reply>();
  const auto number = state.next_request++;
  auto fail = [promise, env = question.env](const failure& why) mutable {
    promise.deliver(refusal<Reply>(std::move(env), why.code, why.message));
  };
  state.reading.emplace(
    number, open_question{self->clock().now() + state.options.request_timeout, false, std::move(fail)});
  auto put = [=, question = std::move(question)] {
    const auto& readers = self->state.options.readers;
    // Without a timer of CAF's for each: expire() sees to those that are overdue. A reader answers in the
    // end, or dies, of which CAF makes an answer.
    self->request(readers[reader % readers.size()], caf::infinite, question)
      .then(
        [=](Reply& answer) mutable {
          if (close_question(self->state, number))
            promise.deliver(std::move(answer));
          ask_waiting(self);
        },
        [=](const caf::error&) {
          if (const auto closed = close_question(self->state, number))
            closed->fail({errc::internal_error, "the reader failed: repeat"});
          ask_waiting(self);
        });
  };
  state.questions.push_back({number, std::move(put)});
  ask_waiting(self);
  return promise;
}

/// Asks whichever reader's turn it is.
template <class Reply, class Question>
caf::result<Reply> read(self_pointer self, Question question) {
  const auto& options = self->state.options;
  auto checked = validate(question.env);
  if (checked)
    checked = validate(question, {*options.nodes, options.limits});
  return ask<Reply>(self, self->state.next_request, std::move(checked), std::move(question));
}

caf::result<nodes_reply> nodes(self_pointer self, list_nodes question) {
  nodes_reply reply;
  reply.env = std::move(question.env);
  for (auto& node : self->state.options.nodes->all())
    reply.nodes.push_back({node.node, std::move(node.name), std::move(node.host), node.port});
  return reply;
}

void expire(self_pointer self) {
  auto& state = self->state;
  const auto now = self->clock().now();
  while (!state.waiting.empty() && state.waiting.begin()->second.deadline <= now)
    deliver(state, state.waiting.begin()->first,
            refusal({}, errc::timed_out,
                    fmt::format("not answered within {} ms: it may have been stored, repeat it",
                                state.options.request_timeout.count())));
  while (!state.reading.empty() && state.reading.begin()->second.deadline <= now) {
    const auto overdue = close_question(state, state.reading.begin()->first);
    overdue->fail({errc::timed_out, overdue->is_asked
                                      ? "the reader did not answer in time: repeat"
                                      : "earlier answers were not taken in time: take them, then repeat"});
  }
  while (!state.questions.empty() && !state.reading.contains(state.questions.front().number))
    state.questions.pop_front();
  ask_waiting(self);
}

} // namespace

reply_state::~reply_state() {
  const failure lost{errc::internal_error, "the node lost track of this request: repeat it"};
  while (!waiting.empty())
    deliver(*this, waiting.begin()->first, refusal({}, lost.code, lost.message));
  for (auto& [number, question] : reading)
    question.fail(lost);
  if (options.writer) // after whatever was submitted, so that it stays forgotten
    caf::anon_send(options.writer, client_gone{options.client});
}

reply_actor::behavior_type reply(self_pointer self, reply_options options) {
  exit_on_exception(self);
  self->state.options = std::move(options);
  self->delayed_send(self, expiry_interval, interval_tick{});
  return {
    [=](archive_key_entire& m) { return write(self, std::move(m)); },
    [=](archive_key_start& m) { return write(self, std::move(m)); },
    [=](archive_key_next& m) { return write(self, std::move(m)); },
    [=](archive_key_final& m) { return write(self, std::move(m)); },
    [=](archive_key_cancel& m) { return write(self, std::move(m)); },
    [=](destroy_key& m) { return write(self, std::move(m)); },
    [=](start_conjoined_archive& m) { return write(self, std::move(m)); },
    [=](abort_conjoined_archive& m) { return write(self, std::move(m)); },
    [=](finish_conjoined_archive& m) { return write(self, std::move(m)); },
    [=](gateway_start& m) { return write(self, std::move(m)); },
    [=](purge& m) { return write(self, std::move(m)); },
    [=](add_node& m) { return write(self, std::move(m)); },
    [=](sync_value_file& m) { return write(self, std::move(m)); },
    [=](retrieve_start& m) { return read<retrieve_reply>(self, std::move(m)); },
    [=](retrieve_next& m) {
      // A retrieval lives in the reader that opened it; its number says which.
      auto checked = validate(m.env);
      return ask<retrieve_reply>(self, m.retrieval, std::move(checked), std::move(m));
    },
    [=](lookup& m) { return read<lookup_reply>(self, std::move(m)); },
    [=](list_keys& m) { return read<list_reply>(self, std::move(m)); },
    [=](list_versions& m) { return read<list_reply>(self, std::move(m)); },
    [=](list_handoffs& m) { return read<handoff_reply>(self, std::move(m)); },
    [=](list_nodes& m) { return nodes(self, std::move(m)); },
    [=](const write_answers& m) {
      for (const auto& answer : *m.answers) {
        archive_reply out;
        out.result = answer.code;
        out.error_message = answer.message;
        out.proof = answer.proof;
        out.count = answer.count;
        deliver(self->state, answer.ticket.request, std::move(out));
      }
    },
    [=](write_path_lost) {
      while (!self->state.waiting.empty())
        deliver(
          self->state, self->state.waiting.begin()->first,
          refusal({}, errc::internal_error, "the node is recovering: it may have been stored, repeat it"));
    },
    [=](const use_actors& m) {
      self->state.options.writer = m.writer;
      self->state.options.readers = m.readers;
    },
    [=](answers_taken) {
      self->state.awaits_drain = false;
      ask_waiting(self);
    },
    [=](interval_tick) {
      expire(self);
      self->delayed_send(self, expiry_interval, interval_tick{});
    },
  };
}

} // namespace cairn
