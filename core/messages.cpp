#include "core/messages.hpp"

namespace cairn {

std::string_view to_string(node_phase phase) {
  switch (phase) {
    case node_phase::starting: return "starting";
    case node_phase::ready: return "ready";
    case node_phase::stopping: return "stopping";
    case node_phase::failed: return "failed";
  }
  return "unknown";
}

} // namespace cairn
