#include "actors/reply.hpp"

#include "actors/faults.hpp"

#include <fmt/format.h>

namespace cairn {

namespace {

using self_pointer = reply_actor::stateful_pointer<reply_state>;

/// Up to here a payload is digested on the spot: handing it over would cost more.
constexpr std::size_t inline_digest_bytes = 32 * 1024;
/// Between looks for overdue requests.
constexpr std::chrono::milliseconds expiry_interval{500};

archive_reply refusal(envelope env, errc code, std::string message) {
  archive_reply reply;
  reply.env = std::move(env);
  reply.result = code;
  reply.error_message = std::move(message);
  return reply;
}

/// @returns why `bytes` more do not fit, or nothing when they are held from now on
result<void> take_window(reply_state& state, std::uint64_t bytes) {
  const auto& limits = state.options.limits;
  if (state.window_bytes + bytes > limits.client_window_bytes)
    return fail(errc::busy,
                fmt::format("{} bytes of this client are under way, its window is {}: wait for replies",
                            state.window_bytes, limits.client_window_bytes));
  auto& total = state.options.vitals->window_bytes;
  if (total.fetch_add(bytes) + bytes > limits.total_window_bytes) {
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

  auto request = std::make_shared<write_request>();
  request->ticket = {state.options.client, state.next_request++};
  request->operation = std::move(*operation);
  auto promise = self->make_response_promise<archive_reply>();
  state.waiting.emplace(request->ticket.request,
                        waiting_reply{promise, std::move(env), bytes,
                                      std::chrono::steady_clock::now() + state.options.request_timeout});
  self->send(state.options.writer, submit{std::move(request)});
  return promise;
}

/// Small payloads are digested here, beside those of other clients; the writer has large ones digested.
result<write_operation> digest_if_small(result<write_operation> operation) {
  if (!operation)
    return operation;
  auto* sequence = std::visit(
    [](auto& request) -> incoming_sequence* {
      if constexpr (requires { request.sequence; })
        return &request.sequence;
      else
        return nullptr;
    },
    *operation);
  if (sequence == nullptr || sequence->data.size() > inline_digest_bytes)
    return operation;
  auto crc = check_digests(sequence->info, sequence->data);
  if (!crc)
    return pass_failure(crc);
  sequence->data_crc32c = *crc;
  sequence->digests_checked = true;
  return operation;
}

template <class Message>
caf::result<archive_reply> archive(self_pointer self, Message message) {
  const auto& options = self->state.options;
  auto env = message.env;
  if (auto checked = validate(env); !checked)
    return refusal(std::move(env), checked.error().code, std::move(checked.error().message));
  const auto bytes = message.data.size();
  auto operation = to_operation(std::move(message), {*options.nodes, options.limits});
  return submit_operation(self, std::move(env), digest_if_small(std::move(operation)), bytes);
}

/// Puts a question to a reader; whatever becomes of that reader, the client gets a reply.
template <class Reply, class Question>
caf::result<Reply> ask(self_pointer self, const reader_actor& reader, Question question) {
  auto promise = self->make_response_promise<Reply>();
  auto env = question.env;
  self->request(reader, self->state.options.request_timeout, std::move(question))
    .then([promise](Reply& answer) mutable { promise.deliver(std::move(answer)); },
          [promise, env](caf::error& error) mutable {
            Reply answer;
            answer.env = std::move(env);
            answer.result = error == caf::sec::request_timeout ? errc::timed_out : errc::internal_error;
            answer.error_message = error == caf::sec::request_timeout
                                     ? "the reader did not answer in time: repeat"
                                     : "the reader failed: repeat";
            promise.deliver(std::move(answer));
          });
  return promise;
}

template <class Reply, class Question, class... Context>
caf::result<Reply> read(self_pointer self, Question question, const Context&... context) {
  auto checked = validate(question.env);
  if (checked)
    checked = validate(question, context...);
  if (!checked) {
    Reply refused;
    refused.env = std::move(question.env);
    refused.result = checked.error().code;
    refused.error_message = std::move(checked.error().message);
    return refused;
  }
  const auto& readers = self->state.options.readers;
  return ask<Reply>(self, readers[self->state.next_request++ % readers.size()], std::move(question));
}

void expire(self_pointer self) {
  auto& state = self->state;
  const auto now = std::chrono::steady_clock::now();
  while (!state.waiting.empty() && state.waiting.begin()->second.deadline <= now)
    deliver(state, state.waiting.begin()->first,
            refusal({}, errc::timed_out,
                    fmt::format("not answered within {} ms: it may have been stored, repeat it",
                                state.options.request_timeout.count())));
}

} // namespace

reply_state::~reply_state() {
  while (!waiting.empty())
    deliver(*this, waiting.begin()->first,
            refusal({}, errc::internal_error, "the node lost track of this request: repeat it"));
}

reply_actor::behavior_type reply(self_pointer self, reply_options options) {
  exit_on_exception(self);
  self->state.options = std::move(options);
  self->delayed_send(self, expiry_interval, interval_tick{});
  return {
    [=](archive_key_entire& m) { return archive(self, std::move(m)); },
    [=](archive_key_start& m) { return archive(self, std::move(m)); },
    [=](archive_key_next& m) { return archive(self, std::move(m)); },
    [=](archive_key_final& m) { return archive(self, std::move(m)); },
    [=](sync_value_file& m) {
      return submit_operation(self, std::move(m.env), write_operation{sync_request{}}, 0);
    },
    [=](retrieve_start& m) {
      const auto& state = self->state;
      return read<retrieve_reply>(self, std::move(m),
                                  validation_context{*state.options.nodes, state.options.limits});
    },
    [=](retrieve_next& m) -> caf::result<retrieve_reply> {
      // A retrieval lives in the reader that opened it; its number says which.
      const auto& readers = self->state.options.readers;
      return ask<retrieve_reply>(self, readers[m.retrieval % readers.size()], std::move(m));
    },
    [=](lookup& m) { return read<lookup_reply>(self, std::move(m)); },
    [=](list_keys& m) { return read<list_reply>(self, std::move(m)); },
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
    [=](interval_tick) {
      expire(self);
      self->delayed_send(self, expiry_interval, interval_tick{});
    },
  };
}

} // namespace cairn
