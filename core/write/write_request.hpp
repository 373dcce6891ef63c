#pragma once
/// What the writer is asked, checked and with names resolved; and what it answers.

#include "core/archive.hpp"
#include "core/errc.hpp"
#include "core/log/record.hpp"
#include "core/payload.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace cairn {

/// Names one waiting promise: of which client, and which of its requests.
struct write_ticket {
  std::uint64_t client = 0;
  std::uint64_t request = 0;
  auto operator<=>(const write_ticket&) const = default;
};

/// A sequence and its bytes, on its way in.
struct incoming_sequence {
  sequence_info info;
  payload data;
  data_checksums checksums;     ///< set once the digests were checked
  bool digests_checked = false; ///< false: the writer has it checked before anything else happens to it
};

struct entire_request {
  segment_identity of; ///< its id is the writer's to give
  incoming_sequence sequence;
  file_info file;
  metadata meta;
};
struct start_request {
  segment_identity of;
  incoming_sequence sequence;
};
struct next_request {
  segment_key key;
  incoming_sequence sequence;
};
struct final_request {
  segment_key key;
  incoming_sequence sequence;
  file_info file;
  metadata meta;
};
struct cancel_request {
  segment_key key;
};
struct destroy_request {
  segment_identity of; ///< of the tombstone
  unified_id deletes;  ///< 0 = every earlier version
};
struct conjoined_request {
  conjoined_record step; ///< its row id is the writer's to give
};
struct gateway_start_request {
  node_id source;
  timestamp_us timestamp;
};
struct purge_request {
  std::vector<segment_key> keys; ///< not empty
};
/// Answered when everything accepted before it is durable.
struct sync_request {};
/// A node, collection or file space is new or changed.
struct configure_request {
  record_body change;
};

using write_operation =
  std::variant<entire_request, start_request, next_request, final_request, cancel_request, destroy_request,
               conjoined_request, gateway_start_request, purge_request, sync_request, configure_request>;

struct write_request {
  write_ticket ticket;
  write_operation operation;
};

/// The one answer to a request.
struct write_answer {
  write_ticket ticket;
  errc code = errc::success;
  std::string message;    ///< empty on success
  receipt proof;          ///< of what is durable; zero for replies that promise nothing
  std::int64_t count = 0; ///< gateway start: segments cancelled; purge: segments removed
};

} // namespace cairn
