#include "core/peer_registry.hpp"

#include <algorithm>

namespace cairn {

void peer_registry::add(const std::shared_ptr<const node_directory>& nodes) {
  const std::lock_guard lock(mutex_);
  std::erase_if(directories_, [](const auto& each) { return each.expired(); });
  directories_.push_back(nodes);
}

bool peer_registry::knows(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(directories_.begin(), directories_.end(), [&](const auto& each) {
    const auto nodes = each.lock();
    return nodes && nodes->id_of(name).has_value();
  });
}

} // namespace cairn
