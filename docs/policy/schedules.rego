# What a plan must not do, as an example for conftest: see README.md beside this file.
package main

import rego.v1

# Schedules with one of these teams in their tags stay on.
protected_teams := {"payments", "risk"}

# So many runs a day may be added by one plan.
most_added_runs := 200

deny contains msg if {
	some resource in input.resource_changes
	resource.change.actions == ["update"]
	resource.change.after.status == "Disabled"
	team := resource.change.before.tags.team
	team in protected_teams
	msg := sprintf("%s belongs to team %s and must not be disabled", [resource.address, team])
}

deny contains msg if {
	some resource in input.resource_changes
	resource.type == "Datastore"
	"delete" in resource.change.actions
	msg := sprintf("%s must not be removed", [resource.address])
}

deny contains msg if {
	runs := input.summary.runs_per_day
	added := runs.after - runs.before
	added > most_added_runs
	msg := sprintf("%d more runs a day, at most %d are allowed", [ceil(added), most_added_runs])
}

warn contains msg if {
	some resource in input.resource_drift
	some field in resource.fields
	msg := sprintf("somebody set %s of %s on the live object", [field.path, resource.address])
}
