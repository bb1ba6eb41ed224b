"""The whole walk: plan and steps that hand values from room to room."""
