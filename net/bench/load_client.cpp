#include "net/bench/load_client.hpp"

#include "core/clock.hpp"

#include <cstring>

#include <fmt/format.h>

namespace cairn::bench {

void finish_line::arrive(const load_result& done, std::optional<failure> failed) {
  const std::lock_guard lock(mutex_);
  sum_.add(done);
  if (!failed_)
    failed_ = std::move(failed);
  --running_;
  changed_.notify_all();
}

result<load_result> finish_line::wait(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, limit, [&] { return running_ == 0; }))
    return fail(errc::timed_out, fmt::format("{} clients did not finish", running_));
  if (failed_)
    return tl::unexpected(*failed_);
  return sum_;
}

void load_client_state::begin(load_client_actor::stateful_pointer<load_client_state> self,
                              load_client_options options) {
  self_ = self;
  options_ = std::move(options);
  random_.seed(options_.number);
}

template <class Request, class OnReply>
void load_client_state::ask(Request request, OnReply on_reply) {
  ++under_way_;
  // The link, or the node itself when it is in this process, sees to it that each request is answered.
  self_->request(options_.node, caf::infinite, std::move(request))
    .then(std::move(on_reply), [this](const caf::error& error) {
      fail_with({errc::timed_out, "no answer: " + self_->system().render(error)});
      answered();
    });
}

void load_client_state::enter(const phase& next) {
  now_ = next;
  is_running_ = true;
  done_ = {};
  if (now_.what == phase::kind::greet)
    return greet();
  next_object_ = options_.number;
  if (now_.what == phase::kind::measure)
    next_object_ += options_.plan->options.objects; // beyond those archived beforehand
  go_on();
}

void load_client_state::greet() {
  hello greeting;
  greeting.client_tag = "bench";
  greeting.incarnation = fmt::format("{}-{}", now_us().value, options_.number);
  ask(greeting, [this](const hello_reply& reply) {
    if (reply.result != errc::success)
      fail_with({reply.result, reply.error_message});
    else if (options_.plan->options.sequence_bytes > reply.limits.max_sequence_bytes)
      fail_with({errc::invalid_message, fmt::format("the node takes sequences of at most {} bytes",
                                                    reply.limits.max_sequence_bytes)});
    node_name_ = reply.node;
    ids_.emplace(reply.ids);
    answered();
  });
}

bool load_client_state::has_more() const {
  if (failed_ || now_.what == phase::kind::greet)
    return false;
  if (upload_)
    return true;
  return now_.what == phase::kind::prepare ? next_object_ < options_.plan->options.objects
                                           : load_clock::now() < now_.until;
}

void load_client_state::go_on() {
  while (under_way_ < options_.plan->options.in_flight && has_more())
    send_one();
  if (under_way_ == 0 && std::exchange(is_running_, false)) {
    upload_.reset();
    now_.line->arrive(done_, failed_);
  }
}

void load_client_state::answered() {
  --under_way_;
  go_on();
}

void load_client_state::fail_with(failure why) {
  if (!failed_)
    failed_ = std::move(why);
}

void load_client_state::send_one() {
  const auto mode = options_.plan->options.mode;
  const auto puts = upload_ || now_.what == phase::kind::prepare || mode == load_mode::put
                    || (mode == load_mode::mixed && random_() % 2 == 0);
  if (!puts)
    return send_get();
  if (!upload_)
    begin_upload();
  send_sequence();
}

std::string load_client_state::key_of(std::uint64_t object) const {
  return fmt::format("{}{:010}", options_.plan->options.key_prefix, object);
}

const sample& load_client_state::sample_of(std::uint64_t object, std::int32_t sequence) const {
  const auto& samples = options_.plan->samples;
  return samples[(object + static_cast<std::uint64_t>(sequence)) % samples.size()];
}

void load_client_state::begin_upload() {
  upload_.emplace();
  upload_->object = next_object_;
  next_object_ += options_.plan->options.concurrency;
  auto& segment = upload_->segment;
  segment.collection = collection_id{options_.plan->options.collection};
  segment.key = key_of(upload_->object);
  segment.version = ids_->next();
  segment.timestamp = now_us();
  segment.segment_num = 1;
  upload_->begun = load_clock::now();
}

void load_client_state::send_sequence() {
  const auto& options = options_.plan->options;
  auto& now = *upload_;
  const auto number = now.sent++;
  const auto& content = sample_of(now.object, number);
  auto info = content.info;
  info.sequence_num = number;
  const auto& file = options_.plan->files[now.object % options_.plan->files.size()];
  const named_segment_key key{now.segment.version, 0, now.segment.segment_num, {}};
  const node_names nodes{node_name_, {}};
  const auto is_last = now.sent == options.sequences;
  const auto take = [this, begun = now.begun, is_last](const archive_reply& reply) {
    if (reply.result != errc::success) {
      fail_with({reply.result, reply.error_message});
    } else if (is_last) {
      ++done_.puts;
      done_.put_bytes += static_cast<std::uint64_t>(options_.plan->files.front().size_bytes);
      done_.put_latency.add(load_clock::now() - begun);
    }
    answered();
  };
  if (options.sequences == 1)
    ask(archive_key_entire{{}, now.segment, info, file, nodes, {}, content.data}, take);
  else if (number == 0)
    ask(archive_key_start{{}, now.segment, info, nodes, content.data}, take);
  else if (!is_last)
    ask(archive_key_next{{}, key, info, content.data}, take);
  else
    ask(archive_key_final{{}, key, info, file, {}, content.data}, take);
  if (is_last)
    upload_.reset();
}

void load_client_state::send_get() {
  const auto& options = options_.plan->options;
  download what;
  what.object = random_() % options.objects;
  what.begun = load_clock::now();
  retrieve_start question;
  question.collection = collection_id{options.collection};
  question.key = key_of(what.object);
  if (options.range_bytes != 0) {
    what.offset_bytes =
      static_cast<std::uint32_t>(random_() % (options.sequence_bytes - options.range_bytes + 1));
    question.range = {what.offset_bytes, what.offset_bytes + options.range_bytes - 1};
  }
  ask(std::move(question), [=, this](const retrieve_reply& reply) { take_get(what, reply); });
}

void load_client_state::take_get(const download& what, const retrieve_reply& reply) {
  if (reply.result != errc::success) {
    fail_with({reply.result, reply.error_message});
  } else if (!is_right(what, reply)) {
    fail_with({errc::damaged, fmt::format("{}: other bytes than were archived", key_of(what.object))});
  } else {
    done_.get_bytes += reply.sequence.data.size();
    if (auto next = what; ++next.sequence_num < options_.plan->options.sequences) {
      --under_way_; // its place is taken by the next one
      ask(retrieve_next{{}, reply.retrieval, next.sequence_num},
          [=, this](const retrieve_reply& more) { take_get(next, more); });
      return;
    }
    ++done_.gets;
    done_.get_latency.add(load_clock::now() - what.begun);
  }
  answered();
}

bool load_client_state::is_right(const download& what, const retrieve_reply& reply) const {
  const auto& options = options_.plan->options;
  const auto got = reply.sequence.data.bytes();
  const auto wanted =
    sample_of(what.object, what.sequence_num)
      .data.bytes()
      .subspan(what.offset_bytes, options.range_bytes == 0 ? options.sequence_bytes : options.range_bytes);
  return reply.sequence_count == options.sequences && reply.sequence.info.sequence_num == what.sequence_num
         && got.size() == wanted.size() && std::memcmp(got.data(), wanted.data(), got.size()) == 0;
}

load_client_actor::behavior_type load_client(load_client_actor::stateful_pointer<load_client_state> self,
                                             load_client_options options) {
  self->state.begin(self, std::move(options));
  return {[=](const phase& next) { self->state.enter(next); }};
}

} // namespace cairn::bench
