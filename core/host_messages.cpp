#include "core/host_messages.hpp"

namespace cairn {

std::string_view to_string(coordinator_loss what) {
  switch (what) {
    case coordinator_loss::stop: return "stop";
    case coordinator_loss::go_on: return "go_on";
  }
  return "unknown";
}

std::optional<coordinator_loss> parse_coordinator_loss(std::string_view text) {
  for (const auto what : {coordinator_loss::stop, coordinator_loss::go_on})
    if (text == to_string(what))
      return what;
  return std::nullopt;
}

} // namespace cairn
