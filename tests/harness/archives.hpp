#pragma once
/// Objects to archive, with right digests, and the messages that carry them.

#include "net/client.hpp"
#include "tests/harness/program.hpp"

#include <string>
#include <vector>

namespace cairn::harness {

/// An object that one segment holds, cut into sequences. Fields may be changed before it is sent.
struct sample_object {
  segment_info segment; ///< of collection 1, segment_num 1
  std::vector<payload> sequences;
  file_info file; ///< fits the sequences
  metadata meta;
  std::string source; ///< node that sends it

  [[nodiscard]] named_segment_key key() const {
    return {segment.version, segment.conjoined_part, segment.segment_num, {}};
  }
};

/// Bytes that look random and are always the same for a seed.
payload bytes_of_seed(std::size_t size_bytes, std::uint64_t seed);
/// A sequence's description that fits its data.
sequence_info describe(const payload& data, std::int32_t sequence_num);
/// An object's description that fits its sequences.
file_info describe(const std::vector<payload>& sequences);

/// A new version of a key whose content depends on both.
sample_object make_object(client& by, const std::string& key, const std::vector<std::size_t>& sequence_sizes);

archive_key_entire entire_of(const sample_object& object); ///< one sequence
archive_key_start start_of(const sample_object& object);
archive_key_next next_of(const sample_object& object, std::int32_t sequence_num);
archive_key_final final_of(const sample_object& object);
destroy_key delete_of(client& by, const sample_object& object); ///< of that version alone

/// A reply, whatever it says. @throws harness_error when none comes
template <class Reply, class Request>
Reply ask(client& node, Request request) {
  auto answered = node.call<Reply>(std::move(request));
  if (!answered)
    throw harness_error("no reply: " + answered.error().message);
  return std::move(*answered);
}

/// Archives an object: one sequence as an entire, more as start, next and final with all of them under way at
/// once. @returns the reply to the entire or final, or the first that failed
archive_reply archive(client& node, const sample_object& object);

/// What a retrieval gave: its first reply, and the data of all of them.
struct retrieved_object {
  retrieve_reply first;
  std::string bytes;
  errc result = errc::success; ///< of the first reply that failed
};
retrieved_object retrieve(client& node, const retrieve_start& what);
/// The newest version of a key.
retrieved_object retrieve(client& node, const std::string& key, const byte_range& range = {});

lookup_reply look_up(client& node, const std::string& key, unified_id version = {});

/// Asks the node for its status until it is as the condition wants it. @throws harness_error when it never is
template <class Condition>
status_reply await_status(client& node, Condition fits) {
  for (const auto until = soon(); std::chrono::steady_clock::now() < until;)
    if (auto status = ask<status_reply>(node, get_status{}); fits(status))
      return status;
  throw harness_error("the node's status never was what the test waits for");
}

/// An object's bytes.
std::string content_of(const sample_object& object);

} // namespace cairn::harness
