#pragma once

namespace cairn {

/// As the program tells it to clients and on its command line.
inline constexpr auto program_version = "0.1.0";

} // namespace cairn
