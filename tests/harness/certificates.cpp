#include "tests/harness/certificates.hpp"

#include "tests/harness/program.hpp"

namespace cairn::harness {

certificate_files certificates::of(const std::string& name) { return make(name, "30"); }

certificate_files certificates::expired(const std::string& name) { return make(name, "0"); }

certificate_files certificates::make(const std::string& name, const std::string& days) {
  const auto made = run_program({program_path("cairn-make-certs"), "--days", days, directory_.path(), name});
  if (made.exit_code != 0)
    throw harness_error("no certificate for " + name + ": " + made.errors);
  return {directory_ / "ca.pem", directory_ / (name + ".pem"), directory_ / (name + ".key")};
}

} // namespace cairn::harness
