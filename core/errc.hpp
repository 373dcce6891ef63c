#pragma once
/// Result codes: the one list for replies, core functions and exit codes. What a client does about each:
/// README.md, "What a client is told when something is wrong".

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace cairn {

/// What became of a request. Each failure is *definite* (it never becomes visible) or *unknown* (it may have
/// been stored: cancel it, or repeat it, which is safe).
enum class errc : std::uint8_t {
  success = 0,
  size_mismatch,         ///< definite: data are not as long as the message says; send it again
  md5_mismatch,          ///< definite: damaged on the way; send it again
  adler32_mismatch,      ///< definite: damaged on the way; send it again
  invalid_message,       ///< definite: a field is missing or out of range; the text says which and what fits
  unknown_node,          ///< definite: a node name that is not in the node table; add it first
  unknown_segment,       ///< definite: next or final without a start; start again
  duplicate_segment,     ///< definite: the segment key is taken by other content; use a new unified id
  sequence_out_of_order, ///< definite: not the sequence number that follows; the text says which does
  cancelled,             ///< definite: the segment was cancelled; use a new unified id
  no_space,              ///< definite: below the reserve; archives resume by themselves when space is back
  storage_error,         ///< definite: a write or sync failed and is fenced off; repeat. At start: a block of
                         ///< the log cannot be read
  database_unavailable,  ///< unknown: the log may hold it, the database did not answer in time; repeat
  busy,                  ///< definite: over a bound of the client or the node (the text says which), the node
                         ///< is starting, or a read finds no memory or descriptor; wait for replies, repeat
  shutting_down,         ///< definite: the node is stopping; go to another, or wait
  not_found,             ///< definite: no such visible key, version, segment or retrieval
  damaged,               ///< definite: stored bytes are missing or fail their checksum; read another segment.
                         ///< An archive of the whole segment with the same ids then mends them
  version_mismatch,      ///< definite: client and node speak different wire versions, or no hello was sent
  timed_out,             ///< unknown: no answer, or no sync of the disk, within the time limit; repeat
  conflict,              ///< definite, at start only: another node's name, data, lock, schema or log
                         ///< position; or value files are missing
  internal_error,        ///< unknown: a defect in the node; logged there; repeat
  not_allowed,           ///< definite: the host's configuration forbids it; the text says what it allows
};

/// The code's name as the documents spell it, e.g. "md5_mismatch".
std::string_view to_string(errc code);

/// True when a request that failed with this code can never become visible.
bool is_definite(errc code);

/// Why something failed: a code, and one line for a person that says what was wrong and what would be right.
struct failure {
  errc code = errc::internal_error;
  std::string message;
};

/// A value, or the failure that took its place.
template <class T>
using result = tl::expected<T, failure>;

/// Makes a failure for a `return` in a function that returns a result.
inline tl::unexpected<failure> fail(errc code, std::string message) {
  return tl::unexpected<failure>(failure{code, std::move(message)});
}

/// Passes another result's failure on.
template <class T>
tl::unexpected<failure> pass_failure(result<T>& from) {
  return tl::unexpected<failure>(std::move(from.error()));
}

} // namespace cairn
