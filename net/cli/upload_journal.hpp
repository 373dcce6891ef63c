#pragma once
/// What a conjoined upload has stored so far, kept beside the user's other program state, so that the same
/// command can go on after an interruption.

#include "core/ids.hpp"

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace cairn::cli {

/// A part that was durable when the node answered.
struct stored_part {
  std::int32_t number = 0;
  std::uint64_t size_bytes = 0;
  std::string md5{}; ///< in hexadecimal; empty = an older program noted it
};

class upload_journal {
public:
  /// @param identity all that makes two uploads the same: node, key, file, its size and time, part size
  explicit upload_journal(const std::string& identity);

  /// Of an earlier run that was interrupted.
  [[nodiscard]] std::optional<unified_id> version() const { return version_; }
  [[nodiscard]] const std::vector<stored_part>& parts() const { return parts_; }
  /// A part that was begun and of which nobody heard whether it was stored; 0 = none.
  [[nodiscard]] std::int32_t open_part() const { return open_part_; }

  void begin(unified_id version);
  void begin_part(std::int32_t number);
  void add(const stored_part& part);
  /// The upload is complete.
  void remove();

private:
  void append(const std::string& line);
  void note(const stored_part& part);
  void forget();

  std::string path_; ///< empty = nowhere to keep it
  std::optional<unified_id> version_;
  std::vector<stored_part> parts_;
  std::int32_t open_part_ = 0;
};

} // namespace cairn::cli
