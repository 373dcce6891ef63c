#pragma once
/// Actors whose scheduler and clock move only when a test says so. Their neighbours are stubs of the same
/// typed interfaces, which keep what they are sent and, but where they say so, never answer.

#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"
#include "core/validation.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <gtest/gtest.h>

namespace cairn {

/// Test -> client stub: do this as yourself.
struct act {
  std::function<void(caf::event_based_actor*)> what;
};

// --- what stubs were sent ---

struct writer_inbox {
  std::vector<submit> submits;
  std::vector<std::uint64_t> clients_gone;
  std::vector<records_appended> appended;
  std::vector<log_synced> synced;
  std::vector<log_failed> failed;
  std::vector<bool> space;
  std::vector<bool> ticks;        ///< is_periodic of each
  std::vector<std::string> order; ///< names of the messages from value_file, as they came
};

struct reader_inbox {
  bool answers = true;
  std::vector<std::uint64_t> questions; ///< message_id of each
  /// Each answers a question that was left open; an interval_tick makes the stub call them.
  std::vector<std::function<void()>> late_answers;
};

struct neighbour_inboxes {
  std::vector<std::shared_ptr<append_job>> appends;
  std::vector<std::shared_ptr<const fold_job>> folds;
  int commits = 0;
  int abandons = 0;
  std::vector<round_due> due;
  int rounds_due = 0;
  std::vector<digest_request> digests;
};

struct reply_inbox {
  std::vector<write_answer> answers;
};

writer_actor::behavior_type writer_stub(writer_actor::pointer, writer_inbox* inbox);
reader_actor::behavior_type reader_stub(reader_actor::pointer self, reader_inbox* inbox);
value_file_actor::behavior_type value_file_stub(value_file_actor::pointer, neighbour_inboxes* inbox);
node_db_actor::behavior_type node_db_stub(node_db_actor::pointer, neighbour_inboxes* inbox);
sync_timer_actor::behavior_type sync_timer_stub(sync_timer_actor::pointer, neighbour_inboxes* inbox);
digester_actor::behavior_type digester_stub(digester_actor::pointer, neighbour_inboxes* inbox);
reply_actor::behavior_type reply_stub(reply_actor::pointer self, reply_inbox* inbox);

// --- clients ---

/// What came back for a request, if anything has.
template <class Reply>
struct outcome {
  std::optional<Reply> reply;
  std::optional<caf::error> error;
};
template <class Reply>
using pending_outcome = std::shared_ptr<outcome<Reply>>;

/// Sends a request as `asker`, which does act; look at what is returned when the scheduler has run.
template <class Reply, class Handle, class Request>
pending_outcome<Reply> ask_as(const caf::actor& asker, const Handle& of, Request request) {
  auto out = std::make_shared<outcome<Reply>>();
  caf::anon_send(asker, act{[=](caf::event_based_actor* me) {
                   me->request(of, caf::infinite, request)
                     .then([out](Reply& reply) { out->reply = std::move(reply); },
                           [out](caf::error& error) { out->error = std::move(error); });
                 }});
  return out;
}

/// Of an actor system whose scheduler and clock stand still unless they are told.
struct stepped_config : caf::actor_system_config {
  stepped_config();
};

class actor_fixture : public ::testing::Test {
protected:
  actor_fixture();
  void TearDown() override;

  /// Ends the actor when the test does.
  template <class Handle>
  Handle own(Handle handle) {
    owned_.push_back(caf::actor_cast<caf::strong_actor_ptr>(handle));
    return handle;
  }
  template <class... Args>
  auto spawn(Args&&... args) {
    return own(system.spawn(std::forward<Args>(args)...));
  }
  /// Something that can ask. It keeps the replies to what it sent without asking for one.
  caf::actor spawn_client();

  /// Sends a request; look at what is returned after run().
  template <class Reply, class Handle, class Request>
  pending_outcome<Reply> ask(const caf::actor& asker, const Handle& of, Request request) {
    return ask_as<Reply>(asker, of, std::move(request));
  }
  template <class Reply, class Handle, class Request>
  pending_outcome<Reply> ask(const Handle& of, Request request) {
    return ask<Reply>(client, of, std::move(request));
  }

  /// Until every actor has done what it can without time passing.
  void run() { scheduler.run(); }
  /// The same, but actors of that name are not run.
  void run_without(std::string_view name);
  /// Lets time pass, at once.
  void pass(std::chrono::milliseconds time);
  void kill(const caf::strong_actor_ptr& actor);
  template <class Handle>
  void kill(const Handle& handle) {
    kill(caf::actor_cast<caf::strong_actor_ptr>(handle));
  }

  stepped_config config;
  caf::actor_system system;
  caf::scheduler::test_coordinator& scheduler;
  std::vector<caf::strong_actor_ptr> owned_; ///< before client, which is the first
  caf::actor client;
  std::vector<archive_reply> unasked; ///< replies to plain messages of clients
};

// --- samples ---

/// Bytes, and what a message says of them.
payload sample_data(std::size_t size_bytes, std::uint8_t first = 1);
sequence_info describe_data(const payload& data, std::int32_t sequence_num = 0);

inline constexpr auto sample_node = "node-1";
std::shared_ptr<node_directory> sample_nodes();

/// Valid messages; everything follows from the version.
archive_key_entire sample_entire(std::uint64_t version, std::size_t size_bytes = 10);
archive_key_start sample_start(std::uint64_t version, std::size_t size_bytes = 10);
archive_key_next sample_next(std::uint64_t version, std::int32_t sequence_num, std::size_t size_bytes = 10);
archive_key_final sample_final(std::uint64_t version, std::int32_t sequence_num, std::size_t size_bytes = 10);
/// A message with a name of its own.
template <class Message>
Message numbered(std::uint64_t message_id, Message message = {}) {
  message.env.client_tag = "tag";
  message.env.user_request_id = "request";
  message.env.message_id = message_id;
  return message;
}

} // namespace cairn

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::act)
