#pragma once
/// A real file system that is small enough to be filled.

#include <cstdint>
#include <optional>
#include <string>

namespace cairn::crash {

/// A tmpfs of limited size. Only this process and those that it starts from now on see it (a mount namespace
/// of their own), so it is gone with them, whatever ends them. Made by the thread that starts the programs.
class small_volume {
public:
  /// @returns what is missing on this machine to make one; nothing when it can be made
  static std::optional<std::string> missing();

  /// @param path an existing directory. @throws harness_error
  small_volume(std::string path, std::uint64_t size_bytes);
  small_volume(const small_volume&) = delete;
  small_volume& operator=(const small_volume&) = delete;
  ~small_volume();

  [[nodiscard]] std::uint64_t available_bytes() const;
  /// A file that takes up space, not a byte less. @throws harness_error
  void put_ballast(std::uint64_t size_bytes) const;
  void remove_ballast() const;

private:
  [[nodiscard]] std::string ballast_path() const { return path_ + "/ballast"; }

  std::string path_;
};

} // namespace cairn::crash
