#pragma once
/// Reads what receipts point at from the value files, past the node.

#include "core/log/record.hpp"
#include "tests/power/facts.hpp"
#include "tests/support/memory_disk.hpp"

#include <map>

namespace cairn::power {

/// @pre power was lost or the process was killed since the node wrote: what is read is on the disk. Each
/// check
/// @returns what is wrong, empty when nothing is.
class receipts {
public:
  receipts(memory_disk& disk, std::string spaces_root) : disk_(disk), spaces_root_(std::move(spaces_root)) {}

  [[nodiscard]] std::string check_final(const receipt& proof, const upload& of) const;
  [[nodiscard]] std::string check_cancel(const receipt& proof, const upload& of) const;
  [[nodiscard]] std::string check_tombstone(const receipt& proof, const tombstone& of) const;
  [[nodiscard]] std::string check_conjoined(const receipt& proof, const conjoined& of) const;

private:
  result<record_body> read(const receipt& proof) const;
  const std::vector<std::byte>& bytes_of(value_file_id file) const;
  template <class Record, class Fits>
  std::string check(const receipt& proof, Fits&& fits) const;

  memory_disk& disk_;
  std::string spaces_root_;
  mutable std::map<value_file_id, std::vector<std::byte>> files_;
};

/// A line for each value file, for a person: what its header says, and its size.
std::string list_value_files(memory_disk& disk, const std::string& spaces_root);

} // namespace cairn::power
