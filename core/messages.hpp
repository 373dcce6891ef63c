#pragma once
/// What clients and a storage node say to each other: plain structs, one for each message. Each request has
/// exactly one reply, which returns the request's envelope unchanged; `error_message` is empty on success,
/// else one line that says what was wrong and what would be right.

#include "core/admission.hpp"
#include "core/archive.hpp"
#include "core/errc.hpp"
#include "core/limited_lists.hpp"
#include "core/payload.hpp"
#include "core/unified_id.hpp"

#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// Grows with every change of a message that old programs would misread.
inline constexpr std::uint32_t wire_version = 3;
inline constexpr std::size_t max_envelope_text_bytes = 255;
inline constexpr std::int32_t max_list_limit = 10'000;

/// How a client finds its own request again. Each text at most max_envelope_text_bytes bytes.
struct envelope {
  std::string client_tag;
  std::string user_request_id;
  std::uint64_t message_id = 0;
  frame_charge charge; ///< of the frame it came in, if any: stays charged until the reply has left

  bool operator==(const envelope& other) const {
    return client_tag == other.client_tag && user_request_id == other.user_request_id
           && message_id == other.message_id;
  }
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, envelope& x) {
    if constexpr (Inspector::writes_state)
      x.charge = frame_being_decoded();
    return f(x.client_tag, x.user_request_id, x.message_id);
  }
};

// --- session ---

/// First message of every client.
struct hello {
  std::uint32_t version = wire_version;
  std::string cluster; ///< the cluster the client means to talk to; empty = any
  std::string client_tag;
  std::string incarnation; ///< differs each time the client program starts
  frame_charge charge;     ///< of the frame it came in; null from within the process

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, hello& x) {
    if constexpr (Inspector::writes_state)
      x.charge = frame_being_decoded();
    return f(x.version, x.cluster, x.client_tag, x.incarnation);
  }
};

/// What one client may ask of a node.
struct node_limits {
  std::uint32_t max_sequence_bytes = 16U << 20U;
  std::uint64_t client_window_bytes = 64ULL << 20U; ///< payload under way of one client; past it `busy`
  std::uint64_t total_window_bytes = 512ULL << 20U; ///< of all clients

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, node_limits& x) {
    return f(x.max_sequence_bytes, x.client_window_bytes, x.total_window_bytes);
  }
};

struct hello_reply {
  errc result = errc::success;
  std::string error_message;
  std::uint32_t version = wire_version;
  std::string program_version;
  std::string cluster;
  std::string node;
  node_limits limits;
  id_lease ids; ///< this client's part of the unified ids

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, hello_reply& x) {
    return f(x.result, x.error_message, x.version, x.program_version, x.cluster, x.node, x.limits, x.ids);
  }
};

// --- archiving ---

/// A whole segment in one message; the sequence has number 0. Answered when durable and visible.
struct archive_key_entire {
  envelope env;
  segment_info segment;
  sequence_info sequence;
  file_info file;
  node_names nodes;
  metadata meta;
  payload data;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, archive_key_entire& x) {
    auto&& limited_meta = detail::limited_for<Inspector, detail::metadata_to_read>(x.meta);
    return f(x.env, x.segment, x.sequence, x.file, x.nodes, limited_meta, x.data);
  }
};

/// Opens an active segment with its first sequence. Answered when written: no durability is promised.
struct archive_key_start {
  envelope env;
  segment_info segment;
  sequence_info sequence;
  node_names nodes;
  payload data;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, archive_key_start& x) {
    return f(x.env, x.segment, x.sequence, x.nodes, x.data);
  }
};

/// One more sequence of an active segment. Answered when written.
struct archive_key_next {
  envelope env;
  named_segment_key key;
  sequence_info sequence;
  payload data;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, archive_key_next& x) {
    return f(x.env, x.key, x.sequence, x.data);
  }
};

/// The last sequence of an active segment. Answered when the segment is durable and visible.
struct archive_key_final {
  envelope env;
  named_segment_key key;
  sequence_info sequence;
  file_info file;
  metadata meta;
  payload data;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, archive_key_final& x) {
    auto&& limited_meta = detail::limited_for<Inspector, detail::metadata_to_read>(x.meta);
    return f(x.env, x.key, x.sequence, x.file, limited_meta, x.data);
  }
};

/// Cancels a segment in whatever state it is; of a key that the node does not know, so that a late start does
/// not revive it. Answered when durable.
struct archive_key_cancel {
  envelope env;
  named_segment_key key;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, archive_key_cancel& x) {
    return f(x.env, x.key);
  }
};

/// Records a tombstone. Answered when durable; the reply repeats its unified id.
struct destroy_key {
  envelope env;
  collection_id collection;
  std::string key;
  unified_id version; ///< of the tombstone
  unified_id deletes; ///< that version alone; 0 = every version with a smaller unified id
  timestamp_us timestamp;
  std::int32_t segment_num = 0;
  node_names nodes;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, destroy_key& x) {
    return f(x.env, x.collection, x.key, x.version, x.deletes, x.timestamp, x.segment_num, x.nodes);
  }
};

/// A step of a conjoined archive. Steps may arrive in any order; abort wins over finish. Answered when
/// durable.
template <conjoined_action Action>
struct conjoined_step {
  envelope env;
  collection_id collection;
  std::string key;
  unified_id version;
  timestamp_us timestamp;
  std::string handoff_node; ///< empty = none

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, conjoined_step& x) {
    return f(x.env, x.collection, x.key, x.version, x.timestamp, x.handoff_node);
  }
};

using start_conjoined_archive = conjoined_step<conjoined_action::start>;
using abort_conjoined_archive = conjoined_step<conjoined_action::abort>;
using finish_conjoined_archive = conjoined_step<conjoined_action::finish>;

/// A node's gateway begins anew: every active segment that it sent before is cancelled. Answered when
/// durable, with their count.
struct gateway_start {
  envelope env;
  unified_id version;
  timestamp_us timestamp; ///< segments with an earlier one are cancelled
  std::string source_node;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_start& x) {
    return f(x.env, x.version, x.timestamp, x.source_node);
  }
};

/// Removes handoff copies that were replayed to their node. Answered when durable, with their count.
struct purge {
  envelope env;
  std::vector<named_segment_key> keys; ///< 1..max_purge_keys, each with a handoff node

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, purge& x) {
    auto&& limited_keys = detail::limited_for<Inspector, detail::purge_keys_to_read>(x.keys);
    return f(x.env, limited_keys);
  }
};

/// Makes a node of the cluster known, by number and name. Answered when durable.
struct add_node {
  envelope env;
  node_id node;
  std::string name; ///< 1..63 bytes of [A-Za-z0-9._-]
  std::string host;
  std::int32_t port = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, add_node& x) {
    return f(x.env, x.node, x.name, x.host, x.port);
  }
};

/// Answered when everything accepted before it is durable.
struct sync_value_file {
  envelope env;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sync_value_file& x) {
    return f(x.env);
  }
};

/// Reply to every message that stores something.
struct archive_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  receipt proof;          ///< of what is durable; zero when nothing is promised, or it was a repeat
  std::int64_t count = 0; ///< gateway start: segments cancelled; purge: keys purged
  unified_id version;     ///< destroy: of the tombstone

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, archive_reply& x) {
    return f(x.env, x.result, x.error_message, x.proof, x.count, x.version);
  }
};

// --- reading ---

/// First and last byte of a segment's data, both included.
struct byte_range {
  std::uint64_t first = 0;
  std::uint64_t last = ~std::uint64_t{0};

  bool operator==(const byte_range&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, byte_range& x) {
    return f(x.first, x.last);
  }
};

/// Opens a retrieval of one segment: named by its key, or (with segment.version 0) the newest visible version
/// of a key of a collection. The reply carries the first sequence.
struct retrieve_start {
  envelope env;
  named_segment_key segment;
  collection_id collection; ///< with segment.version 0
  std::string key;          ///< with segment.version 0
  byte_range range;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, retrieve_start& x) {
    return f(x.env, x.segment, x.collection, x.key, x.range);
  }
};

/// Another sequence of an open retrieval, in any order. It closes, and with it the reply's retrieval is 0,
/// when each sequence of the range was given once; else after the idle limit.
struct retrieve_next {
  envelope env;
  std::uint64_t retrieval = 0;
  std::int32_t sequence_num = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, retrieve_next& x) {
    return f(x.env, x.retrieval, x.sequence_num);
  }
};

/// One sequence's bytes, verified. With a range, `data` is the part of it inside the range.
struct retrieved_sequence {
  sequence_info info;
  std::uint32_t offset_bytes = 0; ///< of `data` inside the sequence
  payload data;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, retrieved_sequence& x) {
    return f(x.info, x.offset_bytes, x.data);
  }
};

struct retrieve_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  std::int32_t sequence_count = 0; ///< of the segment
  std::int32_t first_sequence = 0; ///< that the range touches
  std::int32_t last_sequence = -1; ///< likewise; smaller than first_sequence: none
  std::uint64_t retrieval = 0;     ///< for retrieve_next; 0 = nothing more to retrieve
  segment_info segment;
  node_names nodes;
  file_info file;
  metadata meta;
  retrieved_sequence sequence;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, retrieve_reply& x) {
    return f(x.env, x.result, x.error_message, x.sequence_count, x.first_sequence, x.last_sequence,
             x.retrieval, x.segment, x.nodes, x.file, x.meta, x.sequence);
  }
};

/// Asks for a version of a key: the newest visible one, or (version not 0) that one.
struct lookup {
  envelope env;
  collection_id collection;
  std::string key;
  unified_id version;
  bool with_receipts = false; ///< costs a read of each segment's value file

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, lookup& x) {
    return f(x.env, x.collection, x.key, x.version, x.with_receipts);
  }
};

/// A segment of a version that this node holds.
struct held_segment {
  std::int32_t conjoined_part = 0;
  std::int32_t segment_num = 0;
  std::int32_t sequence_count = 0;
  std::int64_t size_bytes = 0;    ///< of its sequences
  value_file_id value_file;       ///< of its first sequence
  std::uint64_t offset_bytes = 0; ///< of its first sequence's data
  receipt
    proof; ///< when asked for, and as far as the log still tells it: that of its final, without the round

  bool operator==(const held_segment&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, held_segment& x) {
    return f(x.conjoined_part, x.segment_num, x.sequence_count, x.size_bytes, x.value_file, x.offset_bytes,
             x.proof);
  }
};

struct lookup_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  unified_id version;
  timestamp_us timestamp;
  file_info file;            ///< of a conjoined version: sum of its parts' sizes
  bool is_tombstone = false; ///< the version asked for by number is a delete
  std::vector<held_segment> segments;
  metadata meta;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, lookup_reply& x) {
    return f(x.env, x.result, x.error_message, x.version, x.timestamp, x.file, x.is_tombstone, x.segments,
             x.meta);
  }
};

/// Keys of a collection with a visible version, in byte order.
struct list_keys {
  envelope env;
  collection_id collection;
  std::string prefix;
  std::string marker;        ///< keys greater than this one; empty = from the begin
  std::int32_t limit = 1000; ///< 1..max_list_limit

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, list_keys& x) {
    return f(x.env, x.collection, x.prefix, x.marker, x.limit);
  }
};

/// Visible versions of keys of a collection: keys in byte order, of each the newest version first.
struct list_versions {
  envelope env;
  collection_id collection;
  std::string prefix;
  std::string key_marker;    ///< go on behind this key's ...
  unified_id version_marker; ///< ... version; 0 = behind all of its versions
  std::int32_t limit = 1000; ///< 1..max_list_limit

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, list_versions& x) {
    return f(x.env, x.collection, x.prefix, x.key_marker, x.version_marker, x.limit);
  }
};

struct listed_key {
  std::string key;
  unified_id version;
  timestamp_us timestamp;
  std::int64_t size_bytes = 0;

  bool operator==(const listed_key&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, listed_key& x) {
    return f(x.key, x.version, x.timestamp, x.size_bytes);
  }
};

struct list_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  std::vector<listed_key> keys;
  bool is_truncated = false; ///< there are more: repeat with the last key as marker

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, list_reply& x) {
    return f(x.env, x.result, x.error_message, x.keys, x.is_truncated);
  }
};

/// What is held here for a node that was down, oldest first.
struct list_handoffs {
  envelope env;
  std::string node;
  std::int64_t marker = 0;   ///< go on behind this row
  std::int32_t limit = 1000; ///< 1..max_list_limit

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, list_handoffs& x) {
    return f(x.env, x.node, x.marker, x.limit);
  }
};

/// A final segment or a tombstone held for another node.
struct held_handoff {
  std::int64_t row = 0; ///< marker to go on from
  segment_info segment;
  std::string source_node;
  bool is_tombstone = false;
  unified_id deletes; ///< of a tombstone

  bool operator==(const held_handoff&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, held_handoff& x) {
    return f(x.row, x.segment, x.source_node, x.is_tombstone, x.deletes);
  }
};

struct handoff_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  std::vector<held_handoff> handoffs;
  bool is_truncated = false; ///< there are more: repeat with the last row as marker

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, handoff_reply& x) {
    return f(x.env, x.result, x.error_message, x.handoffs, x.is_truncated);
  }
};

/// The cluster's nodes that this node knows.
struct list_nodes {
  envelope env;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, list_nodes& x) {
    return f(x.env);
  }
};

struct listed_node {
  node_id node;
  std::string name;
  std::string host;
  std::int32_t port = 0;

  bool operator==(const listed_node&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, listed_node& x) {
    return f(x.node, x.name, x.host, x.port);
  }
};

struct nodes_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  std::vector<listed_node> nodes; ///< by number

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, nodes_reply& x) {
    return f(x.env, x.result, x.error_message, x.nodes);
  }
};

// --- status ---

struct get_status {
  envelope env;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, get_status& x) {
    return f(x.env);
  }
};

enum class node_phase : std::uint8_t { starting, ready, stopping, failed };
std::string_view to_string(node_phase phase);

/// Room of one file space's volume.
struct space_status {
  space_id space;
  std::string purpose;
  std::string path;
  std::uint64_t available_bytes = 0;
  std::uint64_t total_bytes = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, space_status& x) {
    return f(x.space, x.purpose, x.path, x.available_bytes, x.total_bytes);
  }
};

/// What recovery found and did at the last start.
struct recovery_report {
  std::int64_t value_files = 0;        ///< found by the directory scan
  std::int64_t files_closed = 0;       ///< had been left open by a crash
  std::int64_t records_replayed = 0;   ///< past the database's position
  std::int64_t segments_cancelled = 0; ///< had been active
  std::int64_t torn_bytes = 0;         ///< fenced off at the log's end
  std::int64_t damaged_regions = 0;    ///< below what was synced
  std::int64_t unknown_files = 0;      ///< in the spaces' directories, left alone

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, recovery_report& x) {
    return f(x.value_files, x.files_closed, x.records_replayed, x.segments_cancelled, x.torn_bytes,
             x.damaged_regions, x.unknown_files);
  }
};

struct status_reply {
  envelope env;
  errc result = errc::success;
  std::string error_message;
  node_phase phase = node_phase::starting;
  std::string waits_for; ///< what a node that is not ready waits for
  std::string cluster;
  std::string node;
  std::string program_version;
  std::int64_t uptime_seconds = 0;
  std::int64_t clients = 0;
  std::int64_t active_segments = 0;
  std::int64_t completions_waiting = 0;
  std::int64_t oldest_wait_us = 0;
  std::uint64_t rounds = 0;
  std::uint64_t archives = 0;       ///< acknowledged since the start
  std::uint64_t bytes_archived = 0; ///< likewise
  log_sequence_number position;     ///< acknowledged and visible up to here
  value_file_id value_file;
  std::uint64_t value_file_bytes = 0;
  bool has_space = true;
  std::vector<space_status> spaces;
  std::string database; ///< "connected", or what is wrong
  std::uint64_t actor_restarts = 0;
  recovery_report recovery;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, status_reply& x) {
    return f(x.env, x.result, x.error_message, x.phase, x.waits_for, x.cluster, x.node, x.program_version,
             x.uptime_seconds, x.clients, x.active_segments, x.completions_waiting, x.oldest_wait_us,
             x.rounds, x.archives, x.bytes_archived, x.position, x.value_file, x.value_file_bytes,
             x.has_space, x.spaces, x.database, x.actor_restarts, x.recovery);
  }
};

} // namespace cairn
