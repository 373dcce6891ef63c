#pragma once
/// Names that may connect to a process besides those it was told: the nodes that its nodes know.

#include "core/validation.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cairn {

/// Thread-safe.
class peer_registry {
public:
  /// A node of this process: its directory counts for as long as the node has it.
  void add(const std::shared_ptr<const node_directory>& nodes);
  [[nodiscard]] bool knows(const std::string& name) const;

private:
  mutable std::mutex mutex_; ///< guards directories_
  std::vector<std::weak_ptr<const node_directory>> directories_;
};

} // namespace cairn
