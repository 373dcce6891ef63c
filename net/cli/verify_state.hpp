#pragma once
/// What a run of `cairn verify` has done, so that the next one goes on from there.

#include "core/identity.hpp"
#include "core/verify/verify.hpp"

#include <set>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace cairn::cli {

/// One number for each count, by its name.
nlohmann::json as_json(const verify_counts& counts);

/// Kept in a file; without a path nothing is kept.
class verify_state {
public:
  /// Reads what an earlier run left, if it was of the same node; an empty file is as good as none.
  /// @error conflict: of another node; invalid_message: no such file's content, or no file; storage_error
  static result<verify_state> open(std::string path, const node_identity& identity);

  [[nodiscard]] const std::set<value_file_id>& files() const { return files_; }
  [[nodiscard]] const verify_counts& counts() const { return counts_; }
  /// @error storage_error
  result<void> add(value_file_id file, const verify_counts& counts);
  /// All is done: the next run begins anew.
  void finish() const;

private:
  verify_state(std::string path, node_identity identity)
      : path_(std::move(path)), identity_(std::move(identity)) {}

  std::string path_;
  node_identity identity_;
  std::set<value_file_id> files_;
  verify_counts counts_;
};

} // namespace cairn::cli
