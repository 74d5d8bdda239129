// What the table of settings says, in the forms people and programs read it.
#pragma once

#include <string>

#include "config/load.h"

namespace postlane::config {

// `postlane config default`: every setting with its explanation and default. What has no default
// is commented out ("#key = …"; explanations begin with "# ").
std::string default_toml();

// config/postlane.example.toml: a file for production, defaults commented out.
std::string example_toml();

// `postlane config schema`: JSON Schema 2020-12 of the file, for editors and CI.
std::string json_schema();

// `postlane config show`: the settings in force and where each came from, secrets redacted.
std::string show(const Loaded& loaded, bool json);

// docs/configuration.md.
std::string markdown_reference();

}  // namespace postlane::config
