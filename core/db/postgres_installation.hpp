#pragma once
/// The PostgreSQL programs of this machine and the account that they run as. Private to core.

#include "core/errc.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cairn {

/// Programs of one PostgreSQL version, and who runs them. PostgreSQL refuses root, so as root they run as the
/// user `postgres`; otherwise as the caller.
struct postgres_installation {
  std::string bin_directory; ///< holds initdb and postgres
  int major_version = 0;
  std::string setpriv;           ///< setpriv(1), which sets the account and the parent death signal
  std::string account;           ///< its name, for messages
  uid_t uid = 0;                 ///< the account's user
  gid_t gid = 0;                 ///< the account's group
  bool switches_account = false; ///< true as root

  /// The command to run as the account. It gets SIGINT when the thread that spawned it ends.
  [[nodiscard]] std::vector<std::string> command(const std::string& program,
                                                 std::vector<std::string> arguments) const;
};

/// Looks in `bin_directory`; when that is empty in the newest /usr/lib/postgresql/*/bin, then along PATH.
/// @error database_unavailable: no programs, no account; the text names the package to install
result<postgres_installation> find_postgres(const std::string& bin_directory);

/// The directory of one major version as Debian lays them out, e.g. "/usr/lib/postgresql/15/bin".
std::string debian_bin_directory(int major_version);

} // namespace cairn
