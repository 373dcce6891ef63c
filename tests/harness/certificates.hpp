#pragma once
/// Certificates for tests of TLS.

#include "tests/harness/scratch.hpp"

#include <string>

namespace cairn::harness {

/// Files of one name, PEM.
struct certificate_files {
  std::string ca;
  std::string certificate;
  std::string key;
};

/// A private authority and what it signed, made by cairn-make-certs (configs/make-certs.sh); gone with the
/// object. One thread at a time.
class certificates {
public:
  /// A certificate for the name, localhost, 127.0.0.1 and ::1, as server and as client; made when it is first
  /// asked for. @throws harness_error
  certificate_files of(const std::string& name);
  /// The same, but it has expired.
  certificate_files expired(const std::string& name);

private:
  certificate_files make(const std::string& name, const std::string& days);

  scratch_directory directory_;
};

} // namespace cairn::harness
