#pragma once
/// Every actor of a node by the messages it takes. What clients send is in core/messages.hpp; what the actors
/// of one node say to each other is here, and never leaves the process. README.md beside this file draws the
/// sequences.

#include "actors/payload_inspect.hpp"
#include "core/host_messages.hpp"
#include "core/log/value_log.hpp"
#include "core/messages.hpp"
#include "core/store/node_settings.hpp"
#include "core/write/write_machine.hpp"

#include <memory>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

namespace cairn {

class node_store;
struct recovered_store;

// --- messages inside a node ---
// Handed over by reference: what is large stands behind a shared pointer.

struct writer_neighbours;
struct use_actors; ///< storage_node -> reply; below, where the actors' types are known
/// storage_node -> writer, first: whom it works with; they needed its handle before it could have theirs.
struct connect_writer {
  std::shared_ptr<const writer_neighbours> neighbours;
};
/// reply -> writer: a checked request; its answer comes back as write_answers.
struct submit {
  std::shared_ptr<write_request> request;
};
/// reply -> writer: this client is gone, its answers go nowhere.
struct client_gone {
  std::uint64_t client;
};
/// writer -> reply: answers for this client.
struct write_answers {
  std::shared_ptr<const std::vector<write_answer>> answers;
};
/// transport -> reply: the client's connection has taken enough of its answers for more.
struct answers_taken {};
/// writer -> digester: digest and compare, side by side; the verdicts come back together. A digester has one
/// request at a time.
struct digest_request {
  std::size_t digester; ///< its place among the writer's neighbours
  std::shared_ptr<const std::vector<digest_job>> jobs;
};
struct digest_verdict {
  std::uint64_t number; ///< of the job
  result<data_checksums> checksums;
};
struct digest_verdicts {
  std::size_t digester;
  std::shared_ptr<const std::vector<digest_verdict>> verdicts;
};

/// writer -> value_file: write these records, and sync them when the job says so.
struct append_records {
  std::shared_ptr<append_job> job;
};
/// value_file -> writer: they are written (not durable).
struct records_appended {
  std::shared_ptr<append_outcome> outcome;
};
/// value_file -> writer: everything appended up to now is durable.
struct log_synced {
  log_sequence_number synced_lsn;
};
/// value_file -> writer: a write or sync failed. What is numbered past synced_lsn is void, and that is
/// durable.
struct log_failed {
  log_sequence_number synced_lsn;
  std::shared_ptr<append_outcome> outcome; ///< what holds of the job under way
  std::shared_ptr<const failure> why;
};
/// value_file -> writer: whether the journal has room above its reserve.
struct space_report {
  bool has_space;
};
/// storage_node -> value_file: sync and close the file; nothing follows.
struct close_log {};
struct log_closed {
  std::shared_ptr<const result<value_log::close_outcome>> outcome;
};

/// writer -> node_db: send a round's rows, keep the transaction open.
struct fold_round {
  std::shared_ptr<const fold_job> job;
};
/// writer -> node_db: the round is synced, make it visible.
struct commit_round {};
/// writer -> node_db: the round's records are void.
struct abandon_round {};
/// node_db -> writer: the round is visible.
struct round_committed {
  std::shared_ptr<fold_result> outcome;
};
/// storage_node -> node_db, at the end: rows of the closed (or removed) value file.
struct finish_database {
  std::shared_ptr<const value_log::close_outcome> closed;
};
struct database_finished {};

/// writer -> sync_timer: a completion waits and no round is under way.
struct round_due {
  std::chrono::nanoseconds
    gather; ///< for how long the round may wait for more; 0 = it has all that is to come
};
/// sync_timer -> writer: start a round if there is something to make durable.
struct sync_tick {
  bool is_periodic; ///< the interval has passed: also look for what is idle or overdue
};
struct interval_tick {}; ///< an actor's delayed message to itself
/// writer -> itself, behind the requests that it had in its mailbox: digest their small payloads, side by
/// side.
struct digest_gathered {};
/// reader -> itself, behind the questions that it had in its mailbox: answer them, with one trip to the
/// database.
struct answer_gathered {};

/// storage_node -> writer: refuse what comes, cancel what is active, answer when all is durable and answered.
struct stop_writing {};
struct writing_stopped {};

/// storage_node -> reply: the write path is being rebuilt; answer what waits on the old one.
struct write_path_lost {};

/// storage_node -> opener: lock, check, recover.
struct open_store {};
struct store_opened {
  std::shared_ptr<node_store> store;
  std::shared_ptr<recovered_store> recovered;
  std::shared_ptr<const failure> why; ///< set when it failed
};

// --- node, as seen by its owner ---

/// Asks to be told when the node is ready, or why it will not be.
struct await_ready {};
struct readiness {
  errc result = errc::success;
  std::string error_message;
  recovery_report recovery;
};
/// Orderly end, step by step: README.md, "Order at the end". Answered when nothing is left to lose.
struct stop_node {};
struct node_stopped {
  std::int64_t lost = 0; ///< requests that had no answer
};

// --- actors ---

/// The node's face: what clients connect to. Routes each client's messages to its reply actor, supervises all
/// others.
using storage_node_actor = caf::typed_actor<
  caf::replies_to<hello>::with<hello_reply>, caf::replies_to<archive_key_entire>::with<archive_reply>,
  caf::replies_to<archive_key_start>::with<archive_reply>,
  caf::replies_to<archive_key_next>::with<archive_reply>,
  caf::replies_to<archive_key_final>::with<archive_reply>,
  caf::replies_to<archive_key_cancel>::with<archive_reply>, caf::replies_to<destroy_key>::with<archive_reply>,
  caf::replies_to<start_conjoined_archive>::with<archive_reply>,
  caf::replies_to<abort_conjoined_archive>::with<archive_reply>,
  caf::replies_to<finish_conjoined_archive>::with<archive_reply>,
  caf::replies_to<gateway_start>::with<archive_reply>, caf::replies_to<purge>::with<archive_reply>,
  caf::replies_to<add_node>::with<archive_reply>, caf::replies_to<sync_value_file>::with<archive_reply>,
  caf::replies_to<list_versions>::with<list_reply>, caf::replies_to<list_handoffs>::with<handoff_reply>,
  caf::replies_to<list_nodes>::with<nodes_reply>, caf::replies_to<retrieve_start>::with<retrieve_reply>,
  caf::replies_to<retrieve_next>::with<retrieve_reply>, caf::replies_to<lookup>::with<lookup_reply>,
  caf::replies_to<list_keys>::with<list_reply>, caf::replies_to<get_status>::with<status_reply>,
  caf::replies_to<heartbeat>::with<heartbeat>>;

/// What only the process that hosts the node may ask.
using node_owner_actor =
  storage_node_actor::extend<caf::replies_to<await_ready>::with<readiness>,
                             caf::replies_to<stop_node>::with<node_stopped>, caf::reacts_to<interval_tick>>;

/// A remote-spawned node, by a handle that also controls it. Answers at once; before start_node, and when the
/// start was refused, every archive message is answered `busy`. Ends by itself when it is not started in
/// time, and with its node.
using spawned_node_actor = storage_node_actor::extend<caf::replies_to<start_node>::with<node_started>,
                                                      caf::replies_to<end_node>::with<node_ended>>;

/// Reply to find_node.
struct found_node {
  errc result = errc::success;
  std::string error_message;
  std::string name;
  storage_node_actor node;
  /// Of a spawned node: who sends it start_node with the node's settings becomes its coordinator, end_node
  /// ends it. Null for the host's own node.
  spawned_node_actor control;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, found_node& x) {
    return f(x.result, x.error_message, x.name, x.node, x.control);
  }
};

/// What a host's port publishes: the process, by the nodes that it runs.
using host_actor = caf::typed_actor<caf::replies_to<find_node>::with<found_node>,
                                    caf::replies_to<list_hosted>::with<hosted_nodes>,
                                    caf::replies_to<heartbeat>::with<heartbeat>>;

// --- host, inside its process ---

/// node_host -> spawned_node: end. Its node has ended, or it will have none.
struct end_control {};
/// spawned_node -> itself: is there a node by now?
struct unstarted_tick {
  std::uint64_t start; ///< counts the starts that were tried; another start makes the tick void
};
/// What the host may say to a spawned_node, too.
using control_actor = spawned_node_actor::extend<caf::reacts_to<end_control>, caf::reacts_to<unstarted_tick>>;

/// spawned_node -> node_host, first: here I am.
struct control_made {
  control_actor control;
};
/// spawned_node -> node_host: start a node for this coordinator, or give the one that runs with these
/// settings.
struct host_node {
  start_node message;
  caf::strong_actor_ptr coordinator;
};
struct node_hosted {
  node_started answer;
  storage_node_actor node; ///< null unless it succeeded
};
/// spawned_node -> node_host: end my node; delegated, so that the host's answer goes to who asked.
struct end_hosted {
  caf::actor_addr control;
  end_node message;
};
/// Process -> node_host: end all nodes in order, and the host with them. Answered with what all of them lost.
struct stop_host {};

/// What only the process may ask of its host: await_ready is about the configured node, if there is one.
using host_owner_actor =
  host_actor::extend<caf::replies_to<await_ready>::with<readiness>,
                     caf::replies_to<stop_host>::with<node_stopped>, caf::reacts_to<control_made>,
                     caf::replies_to<host_node>::with<node_hosted>,
                     caf::replies_to<end_hosted>::with<node_ended>>;

/// The name under which a host that allows it lets coordinators remote-spawn a spawned_node_actor, without
/// arguments.
inline constexpr auto spawned_node_type = "cairn.storage_node";

/// One client's requests under way: its window, its promises, exactly one answer each.
using reply_actor = caf::typed_actor<
  caf::replies_to<archive_key_entire>::with<archive_reply>,
  caf::replies_to<archive_key_start>::with<archive_reply>,
  caf::replies_to<archive_key_next>::with<archive_reply>,
  caf::replies_to<archive_key_final>::with<archive_reply>,
  caf::replies_to<archive_key_cancel>::with<archive_reply>, caf::replies_to<destroy_key>::with<archive_reply>,
  caf::replies_to<start_conjoined_archive>::with<archive_reply>,
  caf::replies_to<abort_conjoined_archive>::with<archive_reply>,
  caf::replies_to<finish_conjoined_archive>::with<archive_reply>,
  caf::replies_to<gateway_start>::with<archive_reply>, caf::replies_to<purge>::with<archive_reply>,
  caf::replies_to<add_node>::with<archive_reply>, caf::replies_to<sync_value_file>::with<archive_reply>,
  caf::replies_to<list_versions>::with<list_reply>, caf::replies_to<list_handoffs>::with<handoff_reply>,
  caf::replies_to<list_nodes>::with<nodes_reply>, caf::replies_to<retrieve_start>::with<retrieve_reply>,
  caf::replies_to<retrieve_next>::with<retrieve_reply>, caf::replies_to<lookup>::with<lookup_reply>,
  caf::replies_to<list_keys>::with<list_reply>, caf::reacts_to<write_answers>,
  caf::reacts_to<write_path_lost>, caf::reacts_to<use_actors>, caf::reacts_to<answers_taken>,
  caf::reacts_to<interval_tick>>;

/// The state machine of archives; does no I/O of its own.
using writer_actor =
  caf::typed_actor<caf::reacts_to<connect_writer>, caf::reacts_to<submit>, caf::reacts_to<client_gone>,
                   caf::reacts_to<digest_verdicts>, caf::reacts_to<records_appended>,
                   caf::reacts_to<log_synced>, caf::reacts_to<log_failed>, caf::reacts_to<space_report>,
                   caf::reacts_to<round_committed>, caf::reacts_to<sync_tick>,
                   caf::reacts_to<digest_gathered>, caf::replies_to<stop_writing>::with<writing_stopped>>;

/// Digests of large payloads, many side by side.
using digester_actor = caf::typed_actor<caf::reacts_to<digest_request>>;

/// Owns the open value file.
using value_file_actor = caf::typed_actor<caf::reacts_to<append_records>, caf::reacts_to<interval_tick>,
                                          caf::replies_to<close_log>::with<log_closed>>;

/// Owns the database connection that writes.
using node_db_actor =
  caf::typed_actor<caf::reacts_to<fold_round>, caf::reacts_to<commit_round>, caf::reacts_to<abandon_round>,
                   caf::reacts_to<interval_tick>, caf::replies_to<finish_database>::with<database_finished>>;

/// Starts rounds: at once when a completion waits, at the latest each interval.
using sync_timer_actor = caf::typed_actor<caf::reacts_to<round_due>, caf::reacts_to<interval_tick>>;

/// Look-ups and retrievals, over a database connection of its own.
using reader_actor = caf::typed_actor<
  caf::replies_to<retrieve_start>::with<retrieve_reply>, caf::replies_to<retrieve_next>::with<retrieve_reply>,
  caf::replies_to<lookup>::with<lookup_reply>, caf::replies_to<list_keys>::with<list_reply>,
  caf::replies_to<list_versions>::with<list_reply>, caf::replies_to<list_handoffs>::with<handoff_reply>,
  caf::reacts_to<answer_gathered>, caf::reacts_to<interval_tick>>;

/// storage_node -> reply: these took the place of actors that failed.
struct use_actors {
  writer_actor writer;
  std::vector<reader_actor> readers;
};

/// See connect_writer.
struct writer_neighbours {
  value_file_actor value_file;
  node_db_actor node_db;
  sync_timer_actor sync_timer;
  std::vector<digester_actor> digesters; ///< not empty
};

/// Opens the store, at the start and after the write path has failed.
using opener_actor = caf::typed_actor<caf::replies_to<open_store>::with<store_opened>>;

} // namespace cairn

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::connect_writer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::submit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::client_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::write_answers)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::answers_taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::digest_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::digest_verdicts)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::append_records)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::records_appended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::log_synced)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::log_failed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::space_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::close_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::log_closed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::fold_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::commit_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::abandon_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::round_committed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::finish_database)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::database_finished)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::round_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::sync_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::interval_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::digest_gathered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::answer_gathered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::stop_writing)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::writing_stopped)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::write_path_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::use_actors)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::open_store)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::store_opened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::await_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::readiness)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::stop_node)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::node_stopped)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::end_control)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::unstarted_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::control_made)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::host_node)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::node_hosted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::end_hosted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::stop_host)
