#pragma once
/// One segment on its way from a file to a node.

#include "core/digest.hpp"
#include "net/cli/command.hpp"
#include "net/cli/progress.hpp"
#include "net/cli/source.hpp"

#include <deque>

namespace cairn::cli {

/// Sends the source's next bytes as one segment, several sequences under way at once. Use it once.
class upload {
public:
  /// @param max_bytes of the source that belong to this segment; none = all that is left
  upload(client& node, output& out, segment_info segment, metadata meta,
         std::optional<std::uint64_t> max_bytes = {});

  /// @returns done when the segment is durable; what failed was reported, but for was_cancelled()
  exit_code run(source& from, progress& bar);

  /// The node gave the segment up (it had been interrupted, say): another key may be tried.
  [[nodiscard]] bool was_cancelled() const { return was_cancelled_; }
  [[nodiscard]] const file_info& file() const { return file_; }
  [[nodiscard]] const receipt& proof() const { return proof_; }
  [[nodiscard]] std::int32_t sequence_count() const { return next_sequence_; }

private:
  tl::expected<payload, std::string> read(source& from);
  void send(payload data, bool is_last);
  bool settle();

  client& node_;
  output& out_;
  segment_info segment_;
  metadata meta_;
  std::optional<std::uint64_t> bytes_left_;
  file_info file_;
  md5_hasher whole_;
  std::int32_t next_sequence_ = 0;
  std::deque<pending_reply<archive_reply>> under_way_;
  receipt proof_;
  bool was_cancelled_ = false;
  exit_code code_ = exit_code::failed;
};

} // namespace cairn::cli
