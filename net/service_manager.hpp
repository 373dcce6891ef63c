#pragma once
/// Tells systemd what the process is doing (sd_notify(3)), when it was started by it.

#include <string>

namespace cairn {

/// @param state e.g. "READY=1\nSTATUS=..."; nothing happens without NOTIFY_SOCKET in the environment
void tell_service_manager(const std::string& state);

} // namespace cairn
